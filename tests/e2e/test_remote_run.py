"""Whole runs of a small recipe: sources and models on stores of this machine; artifacts in a mount."""

import gzip
import json
import os
import random
import shutil
import uuid

import pytest
import yaml

from pipeline.runners import buckets
from pipeline.runs.gc import collect
from serving.predict import predict

pytestmark = pytest.mark.slow
ROWS = 2_000
RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log/*.csv",
            "columns": {
                "user": "string",
                "item": "string",
                "at": "time",
                "clicked": {"type": "int", "known": "after"},
            },
        },
        "catalogs": {
            "items": {"files": "items.csv", "key": "item", "columns": {"item": "string", "price": "float"}}
        },
    },
    "roles": {"user": "user", "item": "item", "time": "at"},
    "features": {
        "user": {"kind": "categorical"},
        "item": {"kind": "categorical"},
        "price": {"kind": "numeric"},
    },
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with the recipe and its data: two files of a log, and a catalog."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "data/log").mkdir(parents=True)
    draw = random.Random(3)
    lines = []
    for row in range(ROWS):
        user, item = draw.randrange(50), draw.randrange(20)
        clicked = int(draw.random() < (0.8 if (user + item) % 2 else 0.2))
        lines.append(f"u{user},i{item},{1700000000000 + row},{clicked}")
    for name, part in (("a", lines[: ROWS // 2]), ("b", lines[ROWS // 2 :])):
        (folder / f"data/log/{name}.csv").write_text("\n".join(["user,item,at,clicked", *part]) + "\n")
    items = "".join(f"i{i},{i}.5\n" for i in range(20))
    (folder / "data/items.csv").write_text(f"item,price\n{items}")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return folder


def answers(shop, model):
    """What a model says of each user and item."""
    rows = [{"user": f"u{u}", "item": f"i{i}", "price": i + 0.5} for u in range(50) for i in range(20)]
    (shop / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(model, shop / "rows.jsonl", str(shop / "answers.jsonl"))
    return (shop / "answers.jsonl").read_text()


@pytest.fixture
def secrets(store, request, monkeypatch):
    """Credentials in the environment, whose values these are; hdfs has a user's name and no more."""
    if store.scheme == "gs":
        return request.getfixturevalue("gs_account")
    values = []
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if store.scheme == "s3":
            values.append(f"hush{uuid.uuid4().hex}")
            monkeypatch.setenv(name, values[-1])
    return values


@pytest.mark.parametrize("store", ["s3", "gs", "hdfs"], indirect=True)
def test_a_run_reads_and_publishes_elsewhere(store, refusing, secrets, shop, go, tmp_path, capfd):
    bucket, elsewhere = f"shop-{uuid.uuid4().hex}", tmp_path / "empty"
    elsewhere.mkdir()
    store.create(bucket)
    for file in (shop / "data").rglob("*.csv"):
        store.put(bucket, file.relative_to(shop / "data").as_posix(), file.read_bytes())
    uri = f"{store.scheme}://{bucket}"
    settings = (
        f"sources.log.files={uri}/log/*.csv",
        f"sources.catalogs.items.files={uri}/items.csv",
        f"serving.publish={uri}/models",
        f"beam.options={json.dumps(store.options)}",
    )

    shown = []

    def run():
        outcome = go(shop / "recipe.yaml", elsewhere, tmp_path / "output", *settings)
        shown.append("".join(capfd.readouterr()))
        return outcome

    # credentials that are refused after the first file, then such as read only, then good ones
    refusing.refused = lambda request: b"b.csv" in request
    found = run()
    assert (found.code, found.metrics["status"]) == (4, "failed")
    assert f"{store.scheme} refuses the credentials" in found.metrics["reason"]
    refusing.refused = lambda request: request.startswith((b"PUT", b"POST"))
    found = run()
    assert (found.code, found.metrics["status"]) == (4, "pushed")
    assert found.metrics["rows"]["read"] == ROWS
    assert f"publish: {uri}/models/1: {store.scheme} refuses the credentials" in " ".join(shown[-1].split())
    assert not any(name.endswith("saved_model.pb") for name in store.files(bucket))
    refusing.refused = lambda request: False
    found = run()
    assert (found.code, found.metrics["status"]) == (0, "unchanged")

    pulled = {n: c for n, c in store.files(bucket).items() if n.startswith("models/")}
    for name, content in pulled.items():
        (tmp_path / "pulled" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pulled" / name).write_bytes(content)
    said = answers(shop, tmp_path / "pulled/models/1")
    assert said == answers(shop, tmp_path / "output/shop/serving")
    left = {path: path.read_bytes() for path in (tmp_path / "output").rglob("*") if path.is_file()}
    left |= {"what was shown": "".join(shown).encode()}
    for path, content in left.items():
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        assert not any(value.encode() in content for value in secrets), path

    if store.scheme == "s3":  # what saw files of this machine says that too; rows' ids are of paths
        shutil.copytree(shop / "data", tmp_path / f"here/s3:/{bucket}")
        local = [setting.replace("://", ":/") for setting in settings[:2]]
        assert go(shop / "recipe.yaml", tmp_path / "here", tmp_path / "same", *local).code == 0
        assert said == answers(shop, tmp_path / "same/shop/serving")


def test_steps_leave_what_they_make_in_a_bucket(shop, tmp_path, go, monkeypatch):
    recipe, data, output = shop / "recipe.yaml", shop / "data", tmp_path / "output"
    bucket, link = tmp_path / "gcs/shop", os.link
    bucket.mkdir(parents=True)

    def no_links_there(source, target, **given):
        if os.path.realpath(target).startswith(f"{bucket}/"):
            raise PermissionError("Operation not permitted")
        return link(source, target, **given)

    monkeypatch.setattr(buckets, "MOUNT", tmp_path / "gcs")  # a folder stands for gcsfuse
    monkeypatch.setattr(os, "link", no_links_there)
    setting = "pipeline_root='gs://shop/mtl'"
    first = go(recipe, data, output, setting)
    assert first.code == 0 and first.metrics["pushed"]
    artifacts = bucket / "mtl/shop/artifacts"
    assert (first.folder / "model_run/model.keras").resolve().is_relative_to(artifacts)
    assert sorted(p.name for p in bucket.rglob("*") if p.suffix in (".sqlite", ".html")) == []
    assert go(recipe, data, output, setting).metrics["status"] == "unchanged"
    second = go(recipe, data, output, setting, "training.seed=2")
    assert "Trainer" in second.ran and {"Ingest", "Transform"} <= set(second.metrics["cached"])
    third = go(recipe, data, output, setting, "training.seed=3")
    models = artifacts / "Trainer" / "model"
    assert len(list(models.iterdir())) == 3
    collect(output / "shop", 1, lambda found: None)  # the second would serve after a roll-back
    assert len(list(models.iterdir())) == 2 and (third.folder / "model").is_dir()
