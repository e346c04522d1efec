"""Spans that a schedule missed."""

import pytest
from click.testing import CliRunner

from pipeline.catch_up import in_order, missed
from pipeline.cli import mtl
from pipeline.recipe import load
from pipeline.report.form import read
from pipeline.run import run_missed
from pipeline.spans.store import SpanStore

DAY = 86_400_000
FIRST = 1_709_078_400_000  # 2024-02-28
RECIPE = """
version: 1
name: shop
sources:
  log:
    files: "*.csv"
    columns: {user: int, price: float, at: {type: time, unit: ms}, clicked: {type: int, known: after}}
roles: {user: user, time: at}
features: {price: {kind: numeric}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: time, validation_from: 2024-02-28T16:00:00, test_from: 2024-02-29}
spans: {by: day, window: 4}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
NAMES = ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]


@pytest.fixture
def place(tmp_path):
    """A log of the mornings of six days but the fourth: nothing of a tail, so that no run trains."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for day, name in enumerate(NAMES):
        write(tmp_path, day, name) if name != "2024-03-02" else None
    return tmp_path


def write(place, day, name, clicked="1"):
    rows = [f"{i},{i / 7:.3f},{FIRST + day * DAY + i * 1000},{clicked}" for i in range(200)]
    (place / f"{name}.csv").write_text("\n".join(["user,price,at,clicked", *rows]) + "\n")


def ended(place, name):
    SpanStore(place / "output/shop").add_run(name, "20240301T020000Z", "f", "pushed", "all is well", False)


def found(place, span):
    recipe = load(place / "recipe.yaml")
    return missed(recipe, place / "recipe.yaml", place, place / "output/shop", span)


def test_those_since_the_last_run_that_ended_are_missed_where_the_log_has_rows(place):
    assert found(place, "2024-03-04") == []  # nothing ever ran: what is there is no schedule's
    ended(place, "2024-02-29")
    assert found(place, "2024-03-04") == ["2024-03-01", "2024-03-03"]
    assert found(place, "2024-03-01") == []
    assert found(place, "2024-02-29") == []
    ended(place, "2024-03-03")
    assert found(place, "2024-03-04") == []  # 2024-03-01 had its chance
    assert found(place, "2024-03-02") == ["2024-03-01"]  # a run for an earlier date looks before that


def test_no_more_than_a_window_is_made_up_for(place):
    ended(place, "2024-02-28")
    text = (place / "recipe.yaml").read_text()
    (place / "recipe.yaml").write_text(text.replace("window: 4", "window: 2"))
    assert found(place, "2024-03-04") == ["2024-03-03"]


@pytest.mark.parametrize(
    ("codes", "ran", "code"),
    [
        ([0, 3, 0], 3, 0),  # a refused model stops nothing
        (
            [4, 0, 0],
            3,
            4,
        ),  # data that cannot be used hold up their own day, and are not passed over in silence
        ([4, 0, 3], 3, 4),
        ([0, 0, 1], 3, 1),
        ([0, 1, 0], 2, 1),  # whatever else broke is for the next start
    ],
)
def test_what_one_ends_with_says_whether_the_next_is_run(codes, ran, code):
    names, left = [], iter(codes)

    def run(name):
        names.append(name)
        return next(left)

    assert in_order(["a", "b"], "c", run) == code
    assert names == ["a", "b", "c"][:ran]


def test_a_start_after_an_outage_makes_up_for_what_was_missed(place):
    given = place / "recipe.yaml", place, place / "output", (), True
    assert run_missed(*given, "2024-02-28") == 0
    write(place, 1, "2024-02-29", clicked="often")  # cannot be used
    assert run_missed(*given, "2024-03-01") == 4
    runs = sorted((place / "output/shop/runs").iterdir())
    told = [read(folder / "report/metrics.json") for folder in runs]
    assert [of["status"] for of in told] == ["ingested", "failed", "ingested"]
    assert told[2]["span"]["left_out"] == ["2024-02-29"] and told[2]["span"]["name"] == "2024-03-01"
    # it had its chance: the same again does nothing
    assert run_missed(*given, "2024-03-01") == 0
    assert read(place / "output/shop/latest/report/metrics.json")["status"] == "unchanged"


def test_it_is_of_a_span(place):
    ran = CliRunner().invoke(mtl, ["run", str(place / "recipe.yaml"), "--catch-up"])
    assert ran.exit_code == 2 and "--catch-up is of --span" in ran.output
