"""Facts of runs that ended in each way."""

import pytest

from pipeline.evaluation.gates import Gate, Verdict, judge_all
from pipeline.evaluation.table import MetricRow, MetricsTable
from pipeline.report.facts import DeadRows, Failure, RowCounts, RunFacts

KINDS = {"click": "binary", "share": "binary", "watch_time": "regression"}
HOSTILE = "<script>alert('x')</script>&\""
EVENTS = {
    "share": {
        "matched": 21,
        "open_window": 5,
        "after_window": 4,
        "before_impression": 3,
        "without_impression": 2,
    }
}
PICTURE = "data:image/jpeg;base64,/9j/AAAA"
DEAD_REASONS = {"no such item": 10}
DEAD = [
    DeadRows("log", "no such item", 10, 1000, "items has no row for item 'z'", "day1.csv", 1234),
    DeadRows("catalogs.items", "price: not a float", 1, 4, f"price: '{HOSTILE}' is not a float", "i.csv", 2),
]


def _table():
    return MetricsTable(
        [
            MetricRow("click", "overall", "auc", 0.75, 0.72, 0.74, 0.76, 0.02, 0.04, examples=900),
            MetricRow("click", "overall", "gauc", 0.7, 0.71, 0.69, 0.71, -0.03, -0.01, examples=900),
            MetricRow("click", "overall", "logloss", 0.4, 0.41, examples=900),
            MetricRow("click", "overall", "mean_label", 0.25, 0.25, examples=900),
            MetricRow("click", "overall", "auc", 0.8, examples=900, reference="propensity"),
            MetricRow("click", f"title={HOSTILE}", "auc", 0.6, 0.61, 0.5, 0.7, -0.1, 0.1, examples=40),
            MetricRow("click", "tab=1", "auc", None, examples=3, note="it needs examples of both classes"),
            MetricRow("share", "overall", "auc", None, examples=5, note="it needs examples of both classes"),
            MetricRow("watch_time", "overall", "mae", 25.4, 30.1, examples=900),
            MetricRow("watch_time", "overall", "mae", 31.2, examples=900, reference="constant"),
        ]
    )


def _training():
    return {
        "objective": "Chosen by the mean gain.",
        "best_epoch": 2,
        "epochs": [
            {
                "epoch": e,
                "seconds": 2.0,
                "losses": {"total": 1 / e, "click": 0.5 / e, "watch_time": float("nan")},
                "task_weights": {"click": 1.0, "watch_time": 0.5 * e},
                "validation": {"click": {"auc": 0.7 + 0.01 * e}, "watch_time": {"mae": 30 - e}},
                "objective": 0.1 * e,
                "gate_use": {"click": {"expert_0": 0.25, "expert_1": 0.75}, "watch_time": {"own": 1.0}},
            }
            for e in (1, 2, 3)
        ],
    }


def _reliability():
    rows = [("prediction", 0, 0.1, 0.05, 0.02, 0.08), ("prediction", 1, 0.4, 0.5, None, None)]
    rows += [("baseline", 0, 0.15, 0.1, 0.05, 0.2)]
    names = ("score", "bin", "mean_prediction", "mean_label", "low", "high")
    return [{"task": "click", "weight": 450.0, **dict(zip(names, row, strict=True))} for row in rows]


def _vectors():
    def shown(rows, absent, dead, shift=0.0):
        norm = {"min": 0.5, "p5": 0.75, "median": 1 + shift, "p95": 2.0, "max": 3.0}
        reasons = {f"no content {HOSTILE}": absent}
        return {"rows": rows, "items": 9, "absent": absent, "reasons": reasons, "norm": norm, "dead": dead}

    near = [{"key": f"i{n}", "text": HOSTILE, "cosine": 1 - n / 10} for n in range(5)]
    items = [
        {"key": f"i{n}", "text": None, "x": n / 3, "y": -(n % 2), "trained": n % 3, "shown": n}
        for n in range(9)
    ]
    picture = {
        "kind": "vision",
        "encoder_name": "pixels",
        "encoder": "two",
        "dimension": 16,
        "table": {"keys": 8, "absent": 2, "reasons": {"no content": 2}},
        "training": shown(700, 7, 0),
        "shown": shown(150, 3, 1),
        "serving": shown(140, 1, 0, 0.25),
        "serving_encoder": "two",
        "serving_dimension": 16,
        "fault": False,
        "shift": {"training": 0.0125, "serving": 0.75, "chance": 0.02}
        | {"means": {"training": 0.01, "serving": 0.5}},
        "notes": {},
        "neighbours": [{"key": "i5", "text": HOSTILE, "near": near}],
        "map": {"variance": 0.8, "items": items},
    }
    own = {
        "kind": "vector",
        "encoder_name": None,
        "encoder": "",
        "dimension": 3,
        "table": None,
        "training": shown(700, 0, 0) | {"items": None},
        "shown": {"rows": 150, "items": None, "absent": 150, "reasons": {"the row has none": 150}}
        | {"norm": None, "dead": None},
        "serving": None,
        "serving_encoder": None,
        "serving_dimension": None,
        "fault": False,
        "shift": {"training": None, "serving": None, "chance": None, "means": {}},
        "notes": {"training": "there are no vectors", "serving": "version 3 kept nothing"},
        "neighbours": [],
        "map": {"variance": 0.0, "items": []},
    }
    return {"picture": picture, "own": own}


@pytest.fixture
def facts():
    """A function from how a run ended to its facts."""
    common = {
        "recipe": "demo",
        "run": "20260101-000000",
        "kinds": KINDS,
        "started": "2026-01-01T00:00:00Z",
        "rows": RowCounts(
            1000,
            700,
            100,
            150,
            40,
            10,
            {"outside the splits": 40},
            DEAD_REASONS,
            cut={"tags": 7},
            events=EVENTS,
            open_windows={"share": 31},
            dead_letters=DEAD,
        ),
        "table": _table(),
        "reliability": _reliability(),
        "training": _training(),
        "tuning": {
            "asked": 2,
            "trials": [{"trial": 1, "gain": 0.4, "values": {"training.epochs": 3}}],
            "sentence": "tuning: of 1 trials (2 asked) number 1 won <b>&",
        },
        "vectors": _vectors(),
        "pictures": {"picture": {f"i{n}": PICTURE for n in (0, 1, 2, 5)}},
        "seconds": {"ingest": 1.5, "train": 10.0},
        "memory": {"ingest": 300_000_000, "train": 1_400_000_000},
        "versions": {"tensorflow": "2.21.0"},
        "serving_model": "version 3",
        "recipe_text": f"name: demo # {HOSTILE}",
    }
    gates = [Gate("click", "auc", lower=0.7, max_drop=0.01), Gate("share", "auc", max_drop=0.1)]
    agreed = judge_all(gates[:1], _table())
    served = Verdict("passed", "served rows equal offline ones", gate="serving check")
    refused = judge_all([*gates, Gate("watch_time", "mae", upper=20)], _table())
    endings = {
        "pushed": RunFacts(
            **common, status="pushed", reason="All gates passed.", blessed=True,
            pushed="out/demo/serving/4", verdicts=[*agreed, served],
        ),
        "refused": RunFacts(**common, status="refused", reason=refused[-1].sentence, verdicts=refused),
        "unchanged": RunFacts(
            **common, status="unchanged", reason="Nothing changed since version 3.", blessed=True
        ),
        "failed": RunFacts(
            recipe="demo", run="20260101-000000", status="failed", kinds=KINDS,
            reason="The log has no column is_click.",
            failure=Failure("ingest", f"no column 'is_click' in {HOSTILE}"),
            not_reached=["transform", "train"],
        ),
    }  # fmt: skip
    return endings.__getitem__


@pytest.fixture
def hostile():
    return HOSTILE
