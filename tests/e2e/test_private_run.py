"""A whole run over private ids: none of them is anywhere in what it leaves, and the model knows them all the
same."""

import gzip
import json
import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import mtl
from serving.private import VARIABLE, Hasher, private_inputs

KEY = "0123456789abcdef0123456789abcdef"
USERS, ROWS = 60, 3000
PRIVATE = re.compile(rb"anna\.\d{6}@example|7654\d{8}")
RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log.csv",
            "columns": {
                "user": {"type": "string", "private": True},
                "item": {"type": "int", "private": True},
                "price": "float",
                "at": "time",
                "clicked": {"type": "int", "known": "after"},
            },
        },
    },
    "roles": {"user": "user", "item": "item", "time": "at"},
    "history": {"recent": {"kind": "last", "by": "user", "of": "item", "n": 2}},
    "features": {
        "user": {"kind": "categorical"},
        "item": {"kind": "categorical"},
        "recent": {"kind": "categorical", "shares": "item"},
        "price": {"kind": "numeric"},
    },
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "dead": {"max_share": 0.01},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "evaluation": {"slices": ["user"]},
    "gates": "none",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, go):
    folder = tmp_path_factory.mktemp("private")
    draw = np.random.default_rng(1)
    lines = ["user,item,price,at,clicked"]
    for row in range(ROWS):
        user, item = draw.integers(0, USERS), draw.integers(0, 30)
        clicked = int(draw.random() < (0.8 if (user + item) % 2 else 0.2))
        at = 1_700_000_000_000 + row * 1000
        lines.append(f"anna.{user:06d}@example.org,{765400000000 + item},{draw.random():.3f},{at},{clicked}")
    lines.append('"anna.000001@example.org" or so,765400000001,1,1700000000000,0')
    lines.append("anna.000002@example.org,765400000002,dear,1700000000000,0")
    (folder / "data").mkdir()
    (folder / "data/log.csv").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, KEY)
        yield folder, go(folder / "recipe.yaml", folder / "data", folder / "output")


def test_no_private_value_is_anywhere_in_what_a_run_leaves(world):
    folder, outcome = world
    assert (outcome.code, outcome.metrics["rows"]["dead"]) == (0, 2)
    seen = 0
    for path in (folder / "output").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            assert not PRIVATE.search(content), path
            assert KEY.encode() not in content, path
            seen += Hasher(KEY).text("anna.000001@example.org").encode() in content
    assert seen > 2  # of the examples, the vocabularies, the model
    assert PRIVATE.search((folder / "data/log.csv").read_bytes())


def test_predict_hashes_what_a_client_has(world, tmp_path):
    folder, _ = world
    hasher = Hasher(KEY)
    rows = [
        {
            "user": f"anna.{u:06d}@example.org",
            "item": 765400000000 + i,
            "recent": [765400000003, None],
            "price": 0.5,
        }
        for u in (1, 2, 3)
        for i in (1, 2)
    ]
    hashed = [{n: v if n == "price" else hasher.value(v) for n, v in row.items()} for row in rows]
    model = str(folder / "output/shop/serving")
    answers = {}
    for name, content, options in (
        ("raw", rows, []),
        ("raw and hashed", rows, ["--private"]),
        ("hashed", hashed, []),
    ):
        source, target = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in content))
        found = CliRunner().invoke(
            mtl, ["predict", "--model", model, "--input", str(source), "--output", str(target), *options]
        )
        assert found.exit_code == 0, found.output
        answers[name] = [json.loads(line) for line in target.read_text().splitlines()]
    assert answers["raw and hashed"] == answers["hashed"]
    assert [a["absent"] for a in answers["hashed"]] == [0] * 6
    assert all(a["absent"] >= 2 for a in answers["raw"])  # it knows neither the user nor the item


def test_predict_refuses_another_key(world, tmp_path, monkeypatch):
    folder, _ = world
    (tmp_path / "rows.jsonl").write_text('{"user": "anna.000001@example.org"}\n')
    given = [
        "predict",
        "--model",
        str(folder / "output/shop/serving"),
        "--input",
        str(tmp_path / "rows.jsonl"),
    ]
    for key, said in ((KEY[::-1], "is not the one that the ids in"), ("", "MTL_PRIVATE_KEY is not set")):
        monkeypatch.setenv(VARIABLE, key)
        found = CliRunner().invoke(mtl, [*given, "--private"])
        assert found.exit_code == 2 and said in found.output
    found = CliRunner().invoke(mtl, [*given, "--private", "--server", "http://127.0.0.1:1"])
    assert found.exit_code == 2 and "needs the model's files" in found.output
    monkeypatch.setenv(VARIABLE, KEY)
    (tmp_path / "rows.jsonl").write_text('{"item": "anna.000001@example.org"}\n')
    for options in ([], ["--private"]):
        found = CliRunner().invoke(mtl, [*given, *options])
        assert found.exit_code == 2 and "item" in found.output and "anna" not in found.output
    assert private_inputs(folder / "output/shop/serving/1") == {
        "user": "string",
        "item": "int",
        "recent": "list[int]",
    }
