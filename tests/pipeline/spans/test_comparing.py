"""What the model that serves may be compared with, of a task that is judged on an earlier span than the run's."""

import json

import pytest

from pipeline.plan import Plan
from pipeline.span_run import exposed, favoured, not_compared
from pipeline.spans.judged import Judged
from pipeline.spans.resolve import SpanRun

OWN = "1970-01-05"


@pytest.fixture
def plan(shop, tmp_path):
    def _plan(note):
        baseline = None
        if note is not None:
            baseline = tmp_path / "serving/7"
            (baseline / "assets.extra").mkdir(parents=True, exist_ok=True)
            (baseline / "assets.extra/push.json").write_text(json.dumps(note))
        span = SpanRun(4, OWN, (), (), (), "content")
        return Plan(shop, tmp_path, tmp_path, "run", "content", "", baseline, "now", span=span)

    return _plan


def at(buy, click=OWN):
    return {"click": Judged(click, click), "buy": Judged(buy, buy)}


@pytest.mark.parametrize(
    ("note", "buy", "left_out"),
    [
        (None, "1970-01-02", False),
        ({"span": "1970-01-04", "unseen": {"buy": "1970-01-01"}}, "1970-01-02", False),
        ({"span": "1970-01-04", "unseen": {"buy": "1970-01-02"}}, "1970-01-02", False),
        ({"span": "1970-01-04", "unseen": {"buy": "1970-01-03"}}, "1970-01-02", True),
        ({"span": "1970-01-04"}, "1970-01-02", True),  # of an earlier release: all before its own was learned
        ({"span": "1970-01-02"}, "1970-01-02", False),
        ({}, "1970-01-02", True),  # of a run without spans
        ({"span": "1970-01-01T05"}, "1970-01-02", True),  # when spans were hours
        ({"span": "1970-01-04"}, OWN, False),  # as any task
        ({"span": "1970-01-04"}, "", False),
    ],
)
def test_not_where_it_may_have_learned_the_labels(plan, note, buy, left_out):
    found = not_compared(plan(note), at(buy))
    said = f"version 7, which serves, may have been trained on its labels of {buy}"
    assert found == ({"buy": said} if left_out else {})


def test_one_that_has_not_learned_other_labels_of_the_rows_is_at_a_disadvantage(plan):
    note = {"span": "1970-01-04", "unseen": {"buy": "1970-01-01"}}
    assert favoured(plan(None), at("1970-01-04")) == favoured(plan(note), at(OWN)) == {}
    assert favoured(plan(note), at("1970-01-03")) == {}
    assert favoured(plan(note), at("1970-01-04")) == {
        "buy": "this model was trained on other labels of these rows, and version 7, of 1970-01-04, was not"
    }
    # neither has, where no task of the run is judged later
    assert favoured(plan(note), at("1970-01-04", click="1970-01-04")) == {}


def test_of_an_earlier_span_other_labels_were_trained_on():
    assert exposed(OWN, at("1970-01-03")) == ["buy"]
    assert exposed(OWN, at(OWN)) == exposed(OWN, at("")) == []
    # where every task is judged on one earlier span, nothing of its rows was trained on
    assert exposed(OWN, at("1970-01-04", click="1970-01-04")) == []
