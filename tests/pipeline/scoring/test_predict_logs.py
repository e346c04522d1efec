"""`mtl predict --recipe`: logs as they are, a model that says what it was given, and what is written."""

import json
import subprocess

import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe.dump import resolved
from serving import inputs as raw


class Echo(tf.Module):
    """`click`: the price, or -1; `kind`: two classes; `user`: how often clicked before, or -1; `absent`."""

    def __init__(self, recipe):
        super().__init__()
        self.zero = tf.Variable(0.0)
        self.default = tf.function(self._answer, [raw.signature(recipe)])
        self.examples = tf.function(
            lambda examples: self._answer(raw.parse_examples(examples, recipe)),
            [tf.TensorSpec([None], tf.string, "examples")],
        )

    def _answer(self, x):
        price = tf.where(tf.math.is_nan(x["price"]), -1.0, x["price"]) + self.zero
        return {
            "user": tf.where(x["clicks"] == tf.int64.min, tf.constant(-1, tf.int64), x["clicks"]),
            "click": price,
            "kind": tf.stack([price, 2 * price], axis=1),
            "absent": raw.missing_values(x),
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory, shop_recipe):
    """The recipe's file, and a folder with the model as version 3."""
    folder = tmp_path_factory.mktemp("echo")
    recipe = shop_recipe()
    (folder / "recipe.yaml").write_text(resolved(recipe))
    model = Echo(recipe)
    signatures = {"serving_default": model.default, "serve_examples": model.examples}
    tf.saved_model.save(model, str(folder / "serving" / "3"), signatures=signatures)
    (folder / "serving" / "CURRENT").write_text("3")
    return folder


@pytest.fixture
def run(place, tmp_path):
    def command(source, output="out", *more, code=0):
        arguments = ["--recipe", str(place / "recipe.yaml"), "--model", str(place / "serving")]
        arguments += ["--input", str(source), "--output", str(tmp_path / output), *more]
        found = CliRunner().invoke(mtl, ["predict", *arguments])
        if code == 4:  # as `main` takes it
            assert type(found.exception).__name__ == "DataError", found.output
            return str(found.exception)
        assert found.exit_code == code, found.output + str(found.exception)
        return found.output

    return command


def test_keys_and_predictions_of_every_row(run, data, tmp_path):
    run(data)
    table = pq.read_table(tmp_path / "out" / "scores")
    assert table.column_names == ["id", "user", "item", "at", "click", "absent", "kind", "predicted_user"]
    rows = sorted(table.to_pylist(), key=lambda row: row["id"])
    assert [row["id"] for row in rows] == [1, 2, 3, 4]
    assert [row["at"] for row in rows] == [1_709_251_200_000 + n for n in (10_000, 20_000, 30_000, 40_000)]
    assert [row["item"] for row in rows] == ["a", "b", "never seen", None]
    assert [row["click"] for row in rows] == [1.5, -1, -1, -1]
    assert [row["kind"] for row in rows] == [[1.5, 3], [-1, -2], [-1, -2], [-1, -2]]
    assert [row["predicted_user"] for row in rows] == [0, 1, 1, 0]  # clicks before, made as in a run
    assert [row["absent"] for row in rows] == [0, 2, 2, 3]  # price and tags; and the item
    about = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert about["rows"] == {"read": 5, "scored": 4, "dropped": 1, "dead": 0}
    assert about["keys"] == ["id", "user", "item", "at"] and about["outputs"]["user"] == "predicted_user"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "scores",
        "scores.json",
        "counts.json",
        "dead_letters.jsonl",
        "log.txt",
    }
    assert not (tmp_path / "out.part").exists()


def test_the_same_rows_are_the_same_bytes(run, data, tmp_path):
    run(data)
    run(data, "again")
    parts = sorted((tmp_path / "out" / "scores").iterdir())
    assert [p.name for p in parts] == ["part-00000-of-00001.parquet"]
    for part in parts:
        assert part.read_bytes() == (tmp_path / "again" / "scores" / part.name).read_bytes()


def test_dead_rows_are_told_as_by_a_run(run, data, tmp_path, capfd):
    log = data / "days" / "1" / "log.csv"
    log.write_text(log.read_text() + "5,a,soon,7,1\n")
    run(data)
    assert "1 dead (`mtl data explain` says why)" in capfd.readouterr().out
    explained = CliRunner().invoke(mtl, ["data", "explain", str(tmp_path / "out")])
    assert explained.exit_code == 0 and "soon" in explained.output
    said = run(data, "strict", "--set", "dead.max_share=0.1", code=4)
    part = tmp_path / "strict.part"
    assert "1 of 6 rows" in said and str(part / "dead_letters.jsonl") in said
    assert not (tmp_path / "strict").exists()
    assert {p.name for p in part.iterdir()} == {"dead_letters.jsonl", "log.txt", ".lock"}
    run(data, "strict")  # what was left is no hindrance
    assert (tmp_path / "strict" / "scores").is_dir() and not part.exists()


def test_what_breaks_a_rule_of_the_recipe_is_scored_as_by_a_server(run, data, tmp_path):
    log = data / "days" / "1" / "log.csv"
    log.write_text(log.read_text() + "5,a,1709251250,-7,1\n")  # min: 0
    (data / "items.csv").write_text("item,price,tags\na,150,x\n")  # max: 100
    run(data)
    rows = pq.read_table(tmp_path / "out" / "scores").to_pylist()
    assert sorted(row["click"] for row in rows if row["item"] == "a") == [150, 150]


def test_only_unknown_items_are_scored_all_the_same(run, data, tmp_path, capfd):
    (data / "days" / "1" / "log.csv").write_text("user,article\n7,new\n8,newer\n")
    assert run(data) == f"{tmp_path / 'out' / 'scores'}: 2 rows\n"
    said = capfd.readouterr().out
    assert "note: clicks is missing in every row: history is made from at, clicked" in said


def test_a_full_disk_is_told_and_leaves_no_scores(run, data, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a disk")
    try:
        for size in (8, 32):
            subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
            said = run(data, "disk/out", code=1)
            assert f"Error: the disk that holds {disk}" in said and "out appears whole" in said
            assert not (disk / "out").exists() and not (disk / "out.part" / "scores").exists()
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        run(data, "disk/out")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_an_output_that_is_not_empty_is_refused_and_left(run, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    said = run(data, code=2)
    assert "is there and not empty; give a folder that is not there, or remove it" in " ".join(said.split())
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_model_of_another_recipe_is_told(run, data, place, tmp_path):
    module = tf.Module()
    module.default = tf.function(
        lambda height: {"click": height}, [tf.TensorSpec([None], tf.float32, "height")]
    )
    module.examples = tf.function(
        lambda examples: {"click": tf.zeros(tf.shape(examples)[0])},
        [tf.TensorSpec([None], tf.string, "examples")],
    )
    signatures = {"serving_default": module.default, "serve_examples": module.examples}
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=signatures)
    said = " ".join(run(data, "out", "--model", str(tmp_path / "other"), code=2).split())
    assert "reads height, which the examples do not have" in said
    (tmp_path / "empty").mkdir()
    said = " ".join(run(data, "out", "--model", str(tmp_path / "empty"), code=2).split())
    assert "neither a SavedModel nor a folder with a pushed version" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "-"], "--output must be a folder"),
        (["--output", "x", "--server", "http://127.0.0.1:1"], "--server is not for --recipe"),
        (["--output", "x", "--private"], "--private is not for --recipe"),
    ],
)
def test_options_that_do_not_go_together(place, data, arguments, said):
    recipe = ["--recipe", str(place / "recipe.yaml"), "--input", str(data)]
    found = CliRunner().invoke(mtl, ["predict", *recipe, *arguments])
    assert found.exit_code == 2 and said in found.output
