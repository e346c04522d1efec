"""A run that was killed between its push and its report is gone on with, once."""

import json

import pytest

from pipeline.plan import make_plan
from pipeline.recipe import loads
from pipeline.report.facts import RunFacts
from pipeline.report.write import write_report
from pipeline.unreported import finishing
from serving import releases

BEFORE, KILLED, NEXT, LAST = "20260101", "20260102", "20260103", "20260104"


@pytest.fixture
def plan(tmp_path, smallest_recipe):
    """What a run would do now: version 1 was reported, and version 2, of exactly this, was not."""
    (tmp_path / "log.csv").write_text("user,price,clicked\n1,2,0\n")
    (tmp_path / "recipe.yaml").write_text(smallest_recipe)
    runs = tmp_path / "output" / "shop" / "runs"
    for name in (BEFORE, KILLED):
        (runs / name).mkdir(parents=True)
    served = runs.parent / "serving"

    def plan(run):
        return make_plan(loads(smallest_recipe), tmp_path / "recipe.yaml", tmp_path, tmp_path / "output", run)

    report(runs, BEFORE, push(tmp_path, served, BEFORE, "another", ""))
    push(tmp_path, served, KILLED, plan(KILLED).fingerprint(), "1")
    return plan


def push(tmp_path, served, run, fingerprint, baseline):
    model = tmp_path / run
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (model / file).parent.mkdir(parents=True, exist_ok=True)
        (model / file).write_text(json.dumps([file, run]))
    return releases.push(model, served, {"run": run, "fingerprint": fingerprint}, baseline).version


def report(runs, run, pushed):
    write_report(RunFacts("shop", run, "pushed", "because", True, str(pushed)), runs / run / "report")


def test_it_compares_with_what_the_killed_run_compared_with(plan):
    found = finishing(plan(NEXT))
    assert (found.baseline.name, found.finishes.name) == ("1", "2")
    assert not found.is_unchanged()


def test_once_it_is_reported_there_is_nothing_to_finish(plan):
    runs, version = plan(NEXT).home / "runs", plan(NEXT).baseline
    report(runs, NEXT, version)
    assert finishing(plan(LAST)).finishes is None
    (runs / NEXT / "report" / "index.html").unlink()  # that one was killed too
    assert finishing(plan(LAST)).finishes == version


def test_other_data_are_another_run(plan, tmp_path):
    (tmp_path / "log.csv").write_text("user,price,clicked\n1,3,0\n")
    found = finishing(plan(NEXT))
    assert (found.baseline.name, found.finishes) == ("2", None)


def test_where_what_it_compared_with_is_gone_nothing_is_made_up(plan):
    (plan(NEXT).serving_dir / "1" / "saved_model.pb").unlink()
    found = finishing(plan(NEXT))
    assert found.finishes is None and found.is_unchanged()
