"""Arguments as nobody should give them: each is answered by a sentence and an exit code, before any work."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.ingest.errors import DataError
from pipeline.recipe.errors import RecipeError

CODES = {RecipeError: 2, DataError: 4}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder to be in, with what the cases name."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("empty").mkdir()
    Path("loop").symlink_to("loop")
    Path("noise.yaml").write_bytes(bytes(range(256)))
    Path("log.csv").write_text("age,click\n" + "".join(f"{i % 50},{i // 3 % 2}\n" for i in range(1200)))
    Path("dead.jsonl").write_text("{}\n")
    Path("half/report").mkdir(parents=True)
    Path("half/report/metrics.json").write_text('{"version":')
    for home in ("broken", "bare"):
        Path(home, "demo/serving").mkdir(parents=True)
    Path("broken/demo/serving/1").mkdir()
    Path("broken/demo/serving/CURRENT").write_text("1")
    Path("bare/demo/serving/CURRENT").write_text("one")
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str]:
    """The exit code and everything said, as `main` has them."""
    found = CliRunner().invoke(mtl, arguments)
    if type(found.exception) in CODES:
        return CODES[type(found.exception)], str(found.exception)
    assert found.exception is None or isinstance(found.exception, SystemExit), repr(found.exception)
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("run empty", 2, "'empty' is a directory"),
        ("run loop", 2, "'loop' does not exist"),
        ("run noise.yaml", 2, "cannot be read: not UTF-8 text"),
        ("run /dev/null", 2, "must be a mapping, beginning with `version: 1`"),
        ("run DEMO --input file", 2, "'file' is a file"),
        ("run DEMO --input s3://bucket/logs", 2, "is no folder of this machine"),
        ("run DEMO --output file", 2, "'file' is a file"),
        ("run DEMO --output file/below", 2, "cannot be written: Not a directory"),
        ("run DEMO --output /proc/runs", 2, "cannot be written: No such file or directory"),
        ("run DEMO --output loop", 2, "loop is a link to what is not there"),
        ("run DEMO --output=", 2, "it is empty; . is the folder where you are"),
        ("run DEMO --span=", 2, "--span: it is empty: leave --span out to run all there is"),
        ("run DEMO --span yesterday", 2, "'yesterday' is no day; write it as 2022-05-02, or last"),
        ("run DEMO --from 2024-03-06 --to 2024-03-01", 2, "2024-03-06 is later than 2024-03-01"),
        ("run DEMO --from 2024-03-06", 2, "give --span, or --from and --to, or none of them"),
        ("run DEMO --set training.epochs", 2, "--set: must be dotted.path=value"),
        ("run DEMO --set training.epochs=[1", 2, "--set training.epochs: the value is not YAML"),
        (f"run DEMO --set training.epochs={'9' * 5000}", 2, "--set training.epochs: the value is not YAML"),
        ("run DEMO --set gates.99.task=click", 2, "'99' is not a place in a list of"),
        ("run DEMO --set @loop", 2, "--set @loop: cannot be read: Too many levels of symbolic links"),
        ("run DEMO --set @dead.jsonl --set name=a/b", 2, "--set name: a name is lower-case letters"),
        ("recipe init nothing", 4, "nothing: there is no such file"),
        ("recipe init empty", 4, "empty: no file below it ends in one of"),
        ("recipe init log.csv --out file", 2, "file is there already; --force writes over it"),
        ("recipe init log.csv --out file/recipe.yaml", 2, "--out: file/recipe.yaml cannot be written"),
        ("recipe init log.csv --out loop --force", 2, "--out: loop cannot be written"),
        ("recipe init log.csv --name a/b", 2, "a name is lower-case letters"),
        ("data demo --out file/demo --rows 500", 2, "--out: file/demo cannot be written: Not a directory"),
        ("data explain empty", 2, "empty is no run"),
        ("data explain dead.jsonl", 2, "line 1 is not a dead letter"),
        ("report half", 2, "half/report/metrics.json cannot be read: it is not JSON"),
        ("models list empty", 2, "nothing was pushed below empty"),
        ("models promote broken 1", 1, "version 1 cannot serve: saved_model.pb is missing or empty"),
        ("models promote broken 0", 2, "0 is not in the range x>=1"),
        ("models rollback bare", 1, "there is nothing to roll back to: no version serves"),
        ("models publish broken /srv", 2, "URI: /srv is no place on s3, gs or hdfs"),
        ("models publish broken s3://", 2, "URI: s3:// has no bucket or no path; write s3://bucket/path"),
        ("runs show empty", 2, "is no run's folder"),
        ("runs gc empty", 2, "there are no runs below empty"),
        ("fuse empty", 2, "is not the folder of a run"),
        ("train DEMO --from empty", 2, "has no transformed examples"),
        ("evaluate DEMO --model broken/demo/serving --input empty", 2, "no other is; delete it"),
        ("serve empty", 2, "empty has no version to serve"),
        ("serve broken/demo/serving --label canary", 2, "'canary' is not NAME=VERSION"),
        ("predict --model file --input log.csv", 2, "there is no folder file"),
        ("predict --model broken/demo/serving --input log.csv", 2, "which is not a whole model"),
        ("predict --server nowhere --model demo --input log.csv", 2, "nowhere has no port"),
        ("schedule cron DEMO --at tomorrow", 2, "'tomorrow' has 1 fields"),
        ("schedule cron DEMO --to file/below", 2, "file/below cannot be written: Not a directory"),
    ],
)
def test_a_sentence_and_an_exit_code(here, root, line, code, said):
    arguments = [str(root / "data/demo/recipe.yaml") if part == "DEMO" else part for part in line.split(" ")]
    found, text = invoke(*arguments)
    assert said in " ".join(text.split()) and found == code
    assert not Path("output").exists()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that no one can read from its start")
def test_files_that_cannot_be_read(here):
    assert invoke("recipe", "init", "log.csv", "--name", "shop")[0] == 0
    for name in ("log.csv", "noise.yaml"):
        Path(name).unlink()
        Path(name).symlink_to("/proc/self/mem")
    assert invoke("recipe", "check", "noise.yaml") == (
        2,
        "noise.yaml: 1 problem\n  recipe: cannot be read: Input/output error",
    )
    code, said = invoke("recipe", "init", "log.csv", "--out", "other.yaml")
    assert code == 4 and "cannot be read: " in said
    assert invoke("run", "recipe.yaml")[0] == 4
    told = json.loads(Path("output/shop/latest/report/metrics.json").read_text())
    assert told["reason"] == "log.csv: cannot be read: Input/output error"


def test_names_of_any_script_are_names(here):
    rows = [
        {"🙂": i % 5, "名前": f"太郎{i % 9}", "نص": f"م{i % 4}", "click": i // 3 % 2} for i in range(2000)
    ]
    Path("größe.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert invoke("recipe", "init", "größe.jsonl", "--name", "shop", "--out", "рецепт.yaml")[0] == 0
    assert invoke("recipe", "check", "рецепт.yaml") == (
        0,
        "рецепт.yaml: fine. shop: 1 tasks (click), 3 features, hard_sharing with equal weighting\n",
    )
