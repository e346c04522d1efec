"""Hours as spans, which begin at half past, one after another: in order, once, and up to one that breaks."""

import json

import numpy as np
import pytest
import yaml

from pipeline.run import run_spans
from serving import versions

pytestmark = pytest.mark.slow
RECIPE = {
    "version": 1,
    "name": "hourly",
    "sources": {
        "log": {
            "files": "log/*.csv",
            "columns": {
                "user": "string",
                "price": "float",
                "at": {"type": "time", "required": True},
                "clicked": {"type": "int", "known": "after"},
            },
        }
    },
    "roles": {"user": "user", "time": "at"},
    "features": {"user": {"kind": "categorical"}, "price": {"kind": "numeric"}},
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "spans": {"by": "hour", "window": 2, "utc_offset_hours": 5.5},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "evaluation": {"replicates": 0},
    "gates": [{"task": "click", "metric": "auc", "lower": 0.1}],
}
ROWS, HOUR = 400, 3_600_000
BEGIN = 1_709_249_400_000  # 2024-02-29T23:30Z, so that the first is 2024-03-01T05 there
FIRST, THIRD, LAST = "2024-03-01T05", "2024-03-01T07", "2024-03-01T09"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hours")
    draw = np.random.default_rng(5)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    (folder / "data/log").mkdir(parents=True)
    for hour in (0, 1, 2, 4):
        lines = ["user,price,at,clicked"]
        for at in np.sort(draw.integers(0, HOUR, ROWS)):
            user = draw.integers(0, 20)
            clicked = int(draw.random() < (0.7 if user % 2 else 0.3))
            lines.append(f"u{user},{draw.random():.3f},{BEGIN + hour * HOUR + at},{clicked}")
        (folder / f"data/log/{hour}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def spans(place, go, small):  # `go` has TFX imported
    """Runs spans one after another: the exit code, and what the reports say of them."""

    def _spans(first, last):
        home = place / "output/hourly"
        before = set((home / "runs").glob("*")) if home.is_dir() else set()
        given = (place / "recipe.yaml", place / "data", place / "output")
        code = run_spans(*given, (*small, "evaluation.replicates=0"), True, first, last)
        new = sorted(set((home / "runs").iterdir()) - before, key=lambda p: (p.stat().st_ctime_ns, p.name))
        return code, [json.loads((run / "report/metrics.json").read_text()) for run in new]

    return _spans


@pytest.fixture(scope="module")
def filled(spans):
    return spans(FIRST, THIRD)


def made(place):
    """All that runs made but their own folders: content, and when it was written."""
    home = place / "output/hourly"
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for part in ("artifacts", "serving", "spans", "schemas")
        for path in (home / part).rglob("*")
        if path.is_file()
    }


def test_hours_are_run_in_order_each_on_those_before(filled, place):
    code, told = filled
    assert code == 0
    assert [(m["span"]["name"], m["status"]) for m in told] == [
        (FIRST, "ingested"),
        ("2024-03-01T06", "pushed"),
        (THIRD, "pushed"),
    ]
    for number, metrics in enumerate(told[1:], 1):
        rows = metrics["rows"]
        assert rows["train"] + rows["validation"] == ROWS * number and rows["test"] == ROWS
        assert 0.1 * ROWS < rows["validation"] < 0.4 * ROWS  # the last quarter of an hour
    [drift] = [gate for gate in told[-1]["gates"] if gate["gate"] == "drift"]
    assert drift["sentence"].startswith(f"drift: {THIRD} is like 2024-03-01T06 and {FIRST} to 2024-03-01T06")
    assert versions.versions(place / "output/hourly/serving") == [1, 2]


def test_the_same_hours_again_change_nothing(filled, spans, place):
    before = made(place)
    code, told = spans(FIRST, THIRD)
    assert code == 0 and [m["status"] for m in told] == ["unchanged"] * 3
    assert made(place) == before and len(before) > 50


def test_what_comes_after_an_hour_that_breaks_is_left_and_said(filled, spans, place, capsys):
    before = made(place)
    code, told = spans("2024-03-01T08", LAST)
    assert code == 4 and [m["status"] for m in told] == ["failed"]
    assert "no row of the span 2024-03-01T08; its rows are of" in told[0]["reason"]
    said = " ".join(capsys.readouterr().out.split())
    assert f"2024-03-01T08 ended with 4, and {LAST} to {LAST} were not run" in said
    assert f"or leave it out by `--from {LAST} --to {LAST}`" in said
    assert made(place).items() >= before.items()
