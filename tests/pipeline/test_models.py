"""`mtl models`: what it shows, what it says, and what it exits with."""

import json
import shutil

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.digests import text_digest
from serving import audit, releases, versions


@pytest.fixture
def output(tmp_path):
    """An output folder whose recommender `demo` has versions 1 and 2, by runs whose folders are there."""
    home = tmp_path / "output" / "demo"
    for number, (run, auc) in enumerate({"20260101T000000Z": 0.71, "20260102T000000Z": 0.72}.items()):
        source = tmp_path / run
        (source / "variables").mkdir(parents=True)
        for part in (
            "saved_model.pb",
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
        ):
            (source / part).write_text(run)
        gates = [
            {"task": "click", "metric": "auc", "slice": "overall"},
            {"task": "click", "metric": "auc", "slice": "device=tablet"},
            {"task": None, "metric": None, "slice": None},
        ]
        report = home / "runs" / run / "report"
        report.mkdir(parents=True)
        tasks = {"click": {"metrics": {"auc": auc, "gauc": 0.6}}}
        (report / "metrics.json").write_text(json.dumps({"gates": gates, "tasks": tasks}))
        (home / "runs" / run / "recipe.yaml").write_text(run)
        releases.push(source, home / "serving", {"run": run}, str(number or ""))
    return tmp_path / "output"


@pytest.mark.parametrize("content", ["", '{"version": 1}', "[]"])
def test_a_version_whose_report_is_cut_off_is_listed(output, content):
    (output / "demo/runs/20260101T000000Z/report/metrics.json").write_text(content)
    code, text = mtl_models("list", output)
    assert code == 0 and "auc 0.7100" not in text and "click auc 0.7200" in text


def mtl_models(*arguments) -> tuple[int, str]:
    found = CliRunner().invoke(mtl, ["models", *map(str, arguments)])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, " ".join(found.output.split())


def test_list_says_what_serves_who_made_it_and_how_good_it_was(output):
    code, text = mtl_models("list", output)
    record = versions.record(output / "demo/serving/2")
    assert (
        code == 0
        and (
            f"2 serves, stable, canary {record['at']} 20260102T000000Z {text_digest('20260102T000000Z')} "
            "click auc 0.7200 all there"
        )
        in text
    )
    assert "click auc 0.7100" in text and "names" not in text  # nothing is odd


def test_promote_and_rollback_say_what_they_did(output):
    served = output / "demo" / "serving"
    code, text = mtl_models("rollback", output, "--reason", "clicks fell")
    assert code == 0
    assert text == f"{served}: version 3 (the model of version 1) serves from now on; before, version 2 did"
    assert audit.entries(served)[0][-1]["why"] == "clicks fell"
    assert "3 (is 1) serves" in mtl_models("list", output / "demo")[1]
    code, text = mtl_models("promote", served, 2)
    assert (code, versions.pointed(served)) == (0, 4) and "version 4 (the model of version 2) serves" in text
    code, text = mtl_models("promote", served, 4)
    assert (code, versions.pointed(served)) == (0, 4) and "nothing to do" in text


def test_what_cannot_serve_exits_1_and_says_why(output):
    shutil.rmtree(output / "demo/serving/1/variables")
    code, text = mtl_models("rollback", output)
    assert code == 1 and "version 1, which served before 2, cannot serve: variables/variables.index" in text
    assert mtl_models("promote", output, 9)[0] == 1
    assert "half-written" in mtl_models("list", output)[1]


def test_where_it_is_not_plain_which_recommender_is_meant(output, tmp_path):
    shutil.copytree(output / "demo", output / "shop")
    code, text = mtl_models("rollback", output)
    assert code == 2 and "several recommenders; give one of" in text and str(output / "shop") in text
    assert mtl_models("list", output)[0] == 0
    code, text = mtl_models("list", tmp_path / "20260101T000000Z")
    assert code == 2 and "nothing was pushed below" in text


def test_what_is_odd_is_said(output):
    served = output / "demo" / "serving"
    versions.point(served, 1)
    with (served / audit.LOG).open("a") as file:
        file.write("{cut")
    code, text = mtl_models("list", output)
    assert code == 0 and "version 2 is above version 1, which CURRENT names" in text
    assert "the last change in audit.jsonl is to version 2, and CURRENT names 1" in text
    assert "audit.jsonl: not readable: line 3" in text
    (served / "CURRENT").unlink()
    assert "CURRENT names no version" in mtl_models("list", output)[1]
    assert mtl_models("promote", output, 2)[0] == 0 and versions.pointed(served) == 2


def test_stable_that_is_far_behind_is_said(output, tmp_path):
    served = output / "demo" / "serving"
    assert mtl_models("promote", output, 2)[0] == 0
    for number in range(2, 6):
        assert "pushed since the one that is stable" not in mtl_models("list", output)[1]
        source = shutil.copytree(tmp_path / "20260101T000000Z", tmp_path / f"model{number}")
        (source / "saved_model.pb").write_text(f"{number}")
        releases.push(source, served, {"run": f"{number}"}, str(number))
    assert "4 versions were pushed since the one that is stable" in mtl_models("list", output)[1]


def test_a_full_disk_is_said_and_changes_nothing(output, monkeypatch):
    served = output / "demo" / "serving"
    before = sorted(p.name for p in served.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(versions.os, "rename", full)
    code, text = mtl_models("rollback", output)
    assert code == 1 and "No space left on device" in text
    assert sorted(p.name for p in served.iterdir()) == before and versions.pointed(served) == 2
    monkeypatch.undo()
    assert mtl_models("rollback", output)[0] == 0
