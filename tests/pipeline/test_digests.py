"""A step's digest changes with exactly the code it uses."""

import shutil

import pytest

from pipeline import digests


@pytest.fixture
def tree(root, tmp_path, monkeypatch):
    for package in ("pipeline", "mtl_models", "serving"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "requirements.lock", tmp_path)
    monkeypatch.setattr(digests, "_ROOT", tmp_path)
    return tmp_path


STEPS = {
    "ingest": ("pipeline.components.ingestion",),
    "vocabularies": ("pipeline.components.vocabularies",),
    "transform": ("pipeline.preprocessing", "pipeline.components.transform"),
    "trainer": ("pipeline.trainer", "mtl_models.architectures.mmoe", "mtl_models.weighting.equal"),
    "evaluate": ("pipeline.components.evaluation",),
    "check": ("pipeline.components.serving_check", "serving.standalone"),
    "gate": ("pipeline.components.gate",),
}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("mtl_models/architectures/mmoe.py", {"trainer"}),
        ("mtl_models/architectures/ple.py", set()),  # not chosen
        ("mtl_models/training/objective.py", {"trainer"}),  # reached through the lazy names of mtl_models
        ("pipeline/ingest/catalogs.py", {"ingest"}),
        ("pipeline/ingest/numpy_operations.py", {"ingest", "vocabularies", "transform", "trainer"}),
        ("pipeline/evaluation/groups.py", {"evaluate"}),
        ("pipeline/tensor_operations.py", {"transform"}),
        ("serving/standalone.py", {"check"}),
        ("pipeline/report/page.py", set()),
        ("requirements.lock", set(STEPS)),
        ("pipeline/recipe/expressions.py", set(STEPS) - {"gate"}),
    ],
)
def test_one_more_line(tree, file, changed):
    before = {step: digests.code_digest(*modules) for step, modules in STEPS.items()}
    with (tree / file).open("a") as out:
        out.write("# one more line\n")
    after = {step: digests.code_digest(*modules) for step, modules in STEPS.items()}
    assert {s for s in STEPS if before[s] != after[s]} == changed


def test_folder_digest_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    one = digests.folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    two = digests.folder_digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({one, two, digests.folder_digest(tmp_path)}) == 3


def test_text_digest_knows_where_a_text_ends():
    assert digests.text_digest("ab", "c") != digests.text_digest("a", "bc")
