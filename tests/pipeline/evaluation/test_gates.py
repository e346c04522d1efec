import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.gates import Gate, Verdict, agreement, judge, judge_all, task_result
from pipeline.evaluation.table import MetricRow, MetricsTable, NoBaseline

TABLE = MetricsTable(
    [
        MetricRow("like", "overall", "auc", 0.512, 0.731, examples=35755),
        MetricRow("like", "overall", "logloss", 0.25, 0.24, examples=35755),
        MetricRow("like", "overall", "calibration", 0.96, 1.02, examples=35755),
        MetricRow("like", "tab=1", "auc", 0.8, 0.8, examples=120),
        MetricRow("like", "tab=2", "auc", None, 0.8, examples=12, note="it needs examples of both classes"),
        MetricRow("like", "tab=3", "auc", 0.8, None, examples=500),
        MetricRow("like", "tab=9", "rank_correlation", 0.9, examples=70),
        MetricRow("share", "overall", "auc", 0.9, None, examples=10),
        MetricRow("watch_time", "overall", "mae", 12345.678, 12340.0, examples=1000),
    ],
    sliced_by=["tab", "age", "age & tab"],
)
# by the intervals: value, baseline, ends of the value's, ends of the difference's
SURE = MetricsTable(
    [
        MetricRow("like", "overall", "auc", 0.71, 0.73, 0.69, 0.73, -0.03, -0.01, examples=90),
        MetricRow("like", "overall", "logloss", 0.25, 0.24, 0.22, 0.28, -0.01, 0.03, examples=90),
        MetricRow("like", "overall", "calibration", 1.12, 1.0, 1.08, 1.16, 0.1, 0.14, examples=90),
        MetricRow("like", "overall", "ece", 0.02, 0.03, 0.012, 0.03, -0.02, -0.004, examples=90),
        MetricRow("like", "overall", "gauc", 0.71, 0.70, examples=90),
        MetricRow("like", "overall", "rank_correlation", 0.83, None, 0.81, 0.85, examples=400),
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
            Gate("like", "auc", slice="age=4 & tab=1", lower=0.1), "skipped",  # no row has an age
            "like: auc is not judged: no example in this slice (slice age=4 & tab=1, 0 examples)",
        ),
        (
            Gate("like", "rank_correlation", slice="tab=9", lower=0.1), "passed",
            "like: rank_correlation 0.900 is above the lower bound 0.100 by 0.800 (slice tab=9, 70 examples)",
        ),
        (
            Gate("like", "auc", slice="tob=9", lower=0.1), "failed",
            "like: auc was not computed: tob is not a feature that was sliced by (tab, age, age & tab)",
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
            "like: ndcg was not computed (slice overall): the metrics there are auc, logloss, calibration, "
            "rank_correlation",
        ),
    ],
)  # fmt: skip
def test_verdict(gate, status, sentence):
    assert [(v.status, v.sentence) for v in judge(gate, TABLE)] == [(status, sentence)]


@pytest.mark.parametrize("metric", ["auc", "rank_correlation"])
def test_a_model_without_numbers_passes_on_no_slice(metric):
    note = "5 of 90 predictions are not finite numbers"
    counted = MetricRow("like", "overall", "examples", 90)
    rows = [MetricRow("like", "overall", "auc", None, note=note), counted]
    said = judge(Gate("like", metric, slice="tab=1", lower=0.1), MetricsTable(rows))
    assert [(v.status, v.sentence) for v in said] == [
        ("failed", f"like: {metric} is undefined, so its gate cannot pass: {note} (slice tab=1)")
    ]


@pytest.mark.parametrize(
    ("gate", "status", "sentence"),
    [
        (
            Gate("like", "auc", lower=0.7, interval="whole"), "failed",
            "like: auc 0.710: the lower end of its 95 % interval, 0.690, is below the bound 0.700 by 0.010",
        ),
        (
            Gate("like", "auc", lower=0.7, interval="any"), "passed",
            "like: auc 0.710: the upper end of its 95 % interval, 0.730, is above the lower bound 0.700 by "
            "0.030",
        ),
        (
            Gate("like", "auc", lower=0.7300004, interval="any"), "failed",
            "like: auc 0.7100000: the upper end of its 95 % interval, 0.7300000, is below the bound "
            "0.7300004 by 0.0000004",
        ),
        (
            Gate("like", "calibration", upper=1.1, interval="any"), "passed",
            "like: calibration 1.120: the lower end of its 95 % interval, 1.080, is below the upper bound "
            "1.100 by 0.020",
        ),
        (
            Gate("like", "ece", upper=0.01, interval="any"), "failed",
            "like: ece 0.020: the lower end of its 95 % interval, 0.012, is above the bound 0.010 by 0.002",
        ),
        (
            Gate("like", "ece", upper=0.03, interval="whole"), "passed",
            "like: ece 0.020: the upper end of its 95 % interval, 0.030, is exactly the upper bound",
        ),
        (
            Gate("like", "auc", max_drop=0.02, interval="whole"), "failed",
            "like: auc 0.710 is below the serving model's 0.730 by 0.020; the difference's 95 % interval "
            "reaches to 0.030 worse, more than the 0.020 allowed",
        ),
        (
            Gate("like", "auc", max_drop=0.03, interval="whole"), "passed",
            "like: auc 0.710 is below the serving model's 0.730 by 0.020; the difference's 95 % interval "
            "reaches to 0.030 worse, within the 0.030 allowed",
        ),
        (
            Gate("like", "auc", max_drop=0.0, interval="any"), "failed",
            "like: auc 0.710 is below the serving model's 0.730 by 0.020; the difference's 95 % interval "
            "begins at 0.010 worse, more than the 0.000 allowed",
        ),
        (
            Gate("like", "auc", max_drop=0.015, interval="any"), "passed",
            "like: auc 0.710 is below the serving model's 0.730 by 0.020; the difference's 95 % interval "
            "begins at 0.010 worse, within the 0.015 allowed",
        ),
        (
            Gate("like", "logloss", max_drop=0.0, interval="any"), "passed",
            "like: logloss 0.250 is above the serving model's 0.240 by 0.010; not all of the difference's "
            "95 % interval is worse",
        ),
        (
            Gate("like", "ece", max_drop=0.0, interval="whole"), "passed",
            "like: ece 0.020 is below the serving model's 0.030 by 0.010; none of the difference's 95 % "
            "interval is worse",
        ),
        (
            Gate("like", "ece", better=True), "passed",
            "like: ece 0.020 is below the serving model's 0.030 by 0.010, significantly better: the "
            "difference's 95 % interval is -0.020 to -0.004",
        ),
        (
            Gate("like", "logloss", better=True), "failed",
            "like: logloss 0.250 is above the serving model's 0.240 by 0.010, not significantly better: the "
            "difference's 95 % interval is -0.010 to 0.030",
        ),
        (
            Gate("like", "auc", better=True), "failed",
            "like: auc 0.710 is below the serving model's 0.730 by 0.020, significantly worse: the "
            "difference's 95 % interval is -0.030 to -0.010",
        ),
        (
            Gate("like", "gauc", better=True), "failed",
            "like: gauc's difference to the serving model has no interval, so its gate cannot pass: too few "
            "draws of the bootstrap have an answer",
        ),
        (
            Gate("like", "gauc", lower=0.1, interval="any"), "failed",
            "like: gauc 0.710 has no interval, so its gate cannot pass: too few draws of the bootstrap have "
            "an answer",
        ),
    ],
)  # fmt: skip
def test_verdict_by_interval(gate, status, sentence):
    said = [(v.status, v.sentence) for v in judge(gate, SURE)]
    assert said == [(status, f"{sentence} (slice overall, 90 examples)")]


def test_rankings_that_moved_too_far():
    (verdict,) = judge(Gate("like", "rank_correlation", lower=0.9), SURE)
    assert (verdict.status, verdict.sentence) == (
        "failed",
        "like: rank_correlation 0.830 is below the bound 0.900 by 0.070 (slice overall, 400 examples)",
    )


COMPARISONS = [
    Gate("like", "auc", max_drop=0.1),
    Gate("like", "auc", max_drop=0.1, interval="whole"),
    Gate("like", "auc", better=True),
    Gate("like", "rank_correlation", lower=0.9),
    Gate("like", "top_k_overlap", lower=0.9, slice="tab=1", interval="any"),
]


@pytest.mark.parametrize("gate", COMPARISONS)
@pytest.mark.parametrize(
    ("why", "status", "said"),
    [
        (None, "skipped", "is not compared: there is no serving model yet"),
        (NoBaseline("the serving model has no task like; it has click"), "skipped",
         "is not compared: the serving model has no task like; it has click"),
        (NoBaseline("the serving model could not be loaded (OSError)", fault=True), "failed",
         "could not be compared, so its gate cannot pass: the serving model could not be loaded (OSError)"),
    ],
)  # fmt: skip
def test_nothing_to_compare_with_is_skipped_and_a_fault_is_not(gate, why, status, said):
    rows = [MetricRow("like", s, "auc", 0.7, None, 0.6, 0.8, examples=100) for s in ("overall", "tab=1")]
    (verdict,) = judge(gate, MetricsTable(rows, {"like": why} if why else None))
    assert verdict.status == status
    assert verdict.sentence.startswith(f"like: {gate.metric} {said} (slice {gate.slice or 'overall'}")


def test_first_run_skips_only_the_comparison():
    bound, comparison = judge(Gate("like", "auc", lower=0.6, max_drop=0.0), FIRST_RUN)
    assert bound.status == "passed"
    assert comparison.status == "skipped"
    assert comparison.sentence == (
        "like: auc is not compared: there is no serving model yet (slice overall, 100 examples)"
    )


def test_of_spans_it_says_which_one_was_judged():
    table = MetricsTable(list(FIRST_RUN), sliced_by=["tab"], spans={"like": "2024-03-01"})
    [bound] = judge(Gate("like", "auc", lower=0.6), table)
    assert bound.sentence.endswith("(slice overall, 100 examples of 2024-03-01)")
    [none] = judge(Gate("like", "auc", "tab=1", lower=0.6), table)
    assert none.sentence.endswith("no example in this slice (slice tab=1, 0 examples of 2024-03-01)")


def test_a_comparison_that_favours_the_model_can_fail_it_and_not_pass_it():
    rows = [MetricRow("like", "overall", "auc", value, 0.72, examples=100) for value in (0.71, 0.73)]
    worse, better = (
        MetricsTable([row], spans={"like": "2024-03-01"}, favoured={"like": "it has seen more"})
        for row in rows
    )
    gate = Gate("like", "auc", lower=0.6, max_drop=0.005)
    assert [v.status for v in judge(gate, worse)] == ["passed", "failed"]
    bound, comparison = judge(gate, better)
    assert (bound.status, comparison.status) == ("passed", "skipped")
    assert comparison.sentence.endswith(
        "; that is no pass, as it has seen more (slice overall, 100 examples of 2024-03-01)"
    )


def test_a_bound_on_rows_whose_other_labels_were_trained_on_says_so_where_it_passes():
    row = MetricRow("like", "overall", "auc", 0.73, examples=100)
    table = MetricsTable([row], spans={"like": "2024-03-01"}, exposed=["like"])
    kept, missed = (judge(Gate("like", "auc", lower=bound), table)[0] for bound in (0.6, 0.8))
    assert kept.status == "passed" and kept.sentence.endswith(
        "; other labels of these rows were trained on, which flatters it "
        "(slice overall, 100 examples of 2024-03-01)"
    )
    assert missed.status == "failed" and "flatters" not in missed.sentence


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


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


@given(
    st.sampled_from(["auc", "logloss"]), st.floats(0, 2), st.floats(0, 2), ends,
    st.sampled_from([0.0, 0.001, 0.01]) | st.floats(0, 1), st.sampled_from(["whole", "any"]),
)  # fmt: skip
def test_sentences_of_differences_never_contradict_themselves(metric, value, theirs, ends, allowed, interval):
    row = MetricRow("t", "overall", metric, value, theirs, 0, 1, *ends, examples=1)
    drops = sorted(-x if metric == "auc" else x for x in ends)
    drop = drops[1] if interval == "whole" else drops[0]
    within, better = judge(Gate("t", metric, max_drop=allowed, interval=interval, better=True),
                           MetricsTable([row]))  # fmt: skip
    assert within.status == ("failed" if drop > allowed else "passed")
    found = re.search(r"(?:to|at) (\S+) worse, (more than|within) the (\S+) allowed", within.sentence)
    assert bool(found) == (drop > 0)
    if found:
        printed, word, limit = found.groups()
        assert (Decimal(printed) > Decimal(limit)) == (word == "more than") == (drop > allowed)
    assert better.status == ("passed" if drops[1] < 0 else "failed")
    low, high = map(Decimal, re.search(r"interval is (\S+) to (\S+) ", better.sentence).groups())
    for printed, end in zip((low, high), ends, strict=True):
        assert printed.compare(0) == Decimal(end).compare(0)
    assert ("significantly worse" in better.sentence) == (drops[0] > 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "bounds nothing"),
        ({"lower": 0.9, "upper": 0.1}, "nothing can pass"),
        ({"lower": float("nan")}, "finite"),
        ({"max_drop": -0.1}, "0 or more"),
        ({"lower": 0.1, "slice": "tab"}, "feature=value"),
        ({"metric": "gauc_users", "max_drop": 0.1}, "better side"),
        ({"metric": "rank_correlation", "max_drop": 0.1}, "better side"),
        ({"metric": "calibration", "better": True}, "better side only of"),
        ({"metric": "calibration", "max_drop": 0.1, "interval": "any"}, "better side only of"),
        ({"better": True, "interval": "any"}, "give one"),
    ],
)
def test_senseless_gates_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Gate(**({"task": "like", "metric": "auc"} | wrong))


def test_gates_that_were_skipped_did_not_pass():
    passed, skipped = Verdict("passed", ""), Verdict("skipped", "")
    schema = Verdict("passed", "", gate="schema")
    assert agreement([passed, passed, schema]) == "every gate passed"
    assert agreement([skipped, skipped, schema]) == "no gate failed (1 passed, 2 skipped)"
    assert agreement([passed, skipped]) == "no gate failed (1 passed, 1 skipped)"
