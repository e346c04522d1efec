import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.gates import Gate, Verdict, judge, judge_all, task_result
from pipeline.evaluation.table import MetricRow, MetricsTable

TABLE = MetricsTable(
    [
        MetricRow("like", "overall", "auc", 0.512, 0.731, examples=35755),
        MetricRow("like", "overall", "logloss", 0.25, 0.24, examples=35755),
        MetricRow("like", "overall", "calibration", 0.96, 1.02, examples=35755),
        MetricRow("like", "tab=1", "auc", 0.8, 0.8, examples=120),
        MetricRow("like", "tab=2", "auc", None, 0.8, examples=12, note="it needs examples of both classes"),
        MetricRow("like", "tab=3", "auc", 0.8, None, examples=500),
        MetricRow("share", "overall", "auc", 0.9, None, examples=10),
        MetricRow("watch_time", "overall", "mae", 12345.678, 12340.0, examples=1000),
    ]
)
FIRST_RUN = MetricsTable([MetricRow("like", "overall", "auc", 0.7, examples=100)])


# The whole sentence is the contract: it is what a person on call reads.
@pytest.mark.parametrize(
    ("gate", "status", "sentence"),
    [
        (
            Gate("like", "auc", lower=0.7), "failed",
            "like: auc 0.512 is below the bound 0.700 by 0.188 (slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "auc", lower=0.5), "passed",
            "like: auc 0.512 is above the lower bound 0.500 by 0.012 (slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "auc", lower=0.512), "passed",
            "like: auc 0.512 is exactly the lower bound (slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "auc", lower=0.5120004), "failed",
            "like: auc 0.5120000 is below the bound 0.5120004 by 0.0000004 (slice overall, 35,755 examples)",
        ),
        (
            Gate("watch_time", "mae", upper=12000), "failed",
            "watch_time: mae 12,345.678 is above the bound 12,000.000 by 345.678 "
            "(slice overall, 1,000 examples)",
        ),
        (
            Gate("like", "auc", max_drop=0.01), "failed",
            "like: auc 0.512 is below the serving model's 0.731 by 0.219, more than the 0.010 allowed "
            "(slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "logloss", max_drop=0.01), "passed",
            "like: logloss 0.250 is above the serving model's 0.240 by 0.010, within the 0.010 allowed "
            "(slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "logloss", max_drop=0.009), "failed",
            "like: logloss 0.250 is above the serving model's 0.240 by 0.010, more than the 0.009 allowed "
            "(slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "calibration", max_drop=0.01), "failed",
            "like: calibration 0.960 is further from 1 than the serving model's 1.020 by 0.020, more than "
            "the 0.010 allowed (slice overall, 35,755 examples)",
        ),
        (
            Gate("like", "auc", slice="tab=1", max_drop=0.0), "passed",
            "like: auc 0.800 is as good as the serving model's 0.800 (slice tab=1, 120 examples)",
        ),
        (
            Gate("like", "auc", slice="tab=1", lower=0.9, min_examples=121), "skipped",
            "like: auc is not judged: fewer than the 121 examples asked for (slice tab=1, 120 examples)",
        ),
        (
            Gate("like", "auc", slice="tab=2", lower=0.1), "failed",
            "like: auc is undefined, so its gate cannot pass: it needs examples of both classes "
            "(slice tab=2, 12 examples)",
        ),
        (
            Gate("like", "auc", slice="tab=3", max_drop=0.1), "skipped",
            "like: auc is not compared: it is undefined for the serving model (slice tab=3, 500 examples)",
        ),
        (
            Gate("like", "auc", slice="tab=9", lower=0.1), "skipped",
            "like: auc is not judged: no example in this slice (slice tab=9, 0 examples)",
        ),
        (
            Gate("like", "auc", slice="tob=9", lower=0.1), "failed",
            "like: auc was not computed: tob is not a feature that was sliced by (tab)",
        ),
        (
            Gate("share", "auc", max_drop=0.1), "skipped",
            "share: auc is not compared: the serving model has no task share (slice overall, 10 examples)",
        ),
        (
            Gate("lik", "auc", lower=0.1), "failed",
            "lik: auc was not computed: there is no task lik among like, share, watch_time",
        ),
        (
            Gate("like", "ndcg", lower=0.1), "failed",
            "like: ndcg was not computed (slice overall): the metrics there are auc, logloss, calibration",
        ),
    ],
)  # fmt: skip
def test_verdict(gate, status, sentence):
    assert [(v.status, v.sentence) for v in judge(gate, TABLE)] == [(status, sentence)]


def test_first_run_skips_only_the_comparison():
    bound, comparison = judge(Gate("like", "auc", lower=0.6, max_drop=0.0), FIRST_RUN)
    assert bound.status == "passed"
    assert comparison.status == "skipped"
    assert comparison.sentence == (
        "like: auc is not compared: there is no serving model yet (slice overall, 100 examples)"
    )


def test_each_bound_has_its_verdict():
    verdicts = judge(Gate("like", "calibration", lower=0.9, upper=0.95, max_drop=1.0), TABLE)
    assert [v.status for v in verdicts] == ["passed", "failed", "passed"]
    assert {(v.task, v.metric, v.slice, v.gate) for v in verdicts} == {
        ("like", "calibration", "overall", "metrics")
    }


def test_task_results():
    verdicts = judge_all(
        [Gate("like", "auc", lower=0.7), Gate("like", "logloss", upper=1), Gate("share", "auc", max_drop=0)],
        TABLE,
    )
    assert [task_result(t, verdicts) for t in ("like", "share", "watch_time")] == ["fail", "none", "none"]
    assert task_result("like", [Verdict("passed", "", "like"), Verdict("skipped", "", "like")]) == "pass"


numbers = st.floats(1e-9, 1e6)


@given(numbers, numbers)
def test_bound_sentence_never_contradicts_itself(value, bound):
    table = MetricsTable([MetricRow("t", "overall", "mae", value, examples=1)])
    (verdict,) = judge(Gate("t", "mae", upper=bound), table)
    assert verdict.status == ("failed" if value > bound else "passed")
    if value != bound:
        pattern = r"mae (\S+) is (above|below) the (?:upper )?bound (\S+) by (\S+) "
        v, word, b, gap = re.search(pattern, verdict.sentence).groups()
        v, b, gap = (Decimal(x.replace(",", "")) for x in (v, b, gap))
        assert (v > b) == (word == "above") and gap == abs(v - b) != 0


@given(
    st.sampled_from(["auc", "logloss", "calibration"]), st.floats(0, 2), st.floats(0, 2),
    st.sampled_from([0.0, 0.001, 0.01]) | st.floats(0, 1),
)  # fmt: skip
def test_drop_sentence_never_contradicts_itself(metric, value, baseline, allowed):
    table = MetricsTable([MetricRow("t", "overall", metric, value, baseline, examples=1)])
    (verdict,) = judge(Gate("t", metric, max_drop=allowed), table)
    found = re.search(r"by (\S+), (more than|within) the (\S+) allowed", verdict.sentence)
    if found:
        gap, word, limit = found.groups()
        assert (Decimal(gap) > Decimal(limit)) == (word == "more than") == (verdict.status == "failed")
        assert Decimal(gap) > 0
    else:
        assert verdict.status == "passed"
        assert "which is better" in verdict.sentence or "is as good as" in verdict.sentence


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "bounds nothing"),
        ({"lower": 0.9, "upper": 0.1}, "nothing can pass"),
        ({"lower": float("nan")}, "finite"),
        ({"max_drop": -0.1}, "0 or more"),
        ({"lower": 0.1, "slice": "tab"}, "feature=value"),
        ({"metric": "gauc_users", "max_drop": 0.1}, "better side"),
    ],
)
def test_senseless_gates_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Gate(**({"task": "like", "metric": "auc"} | wrong))
