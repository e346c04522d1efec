"""Planted drift is told with the values that moved, and twenty clean days are left alone."""

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from pipeline.drift.judge import Spans, judge
from pipeline.recipe.drift import Drift

ROWS = 4_000
COLUMNS = ["item", "device", "price", "age", "hour"]
LABELS = {"click": "rate", "watch": "mean"}
LAST = "2024-03-20"


def rows(day: int, seed: int) -> pd.DataFrame:
    """A day of a feed: people with less to do at weekends, other traffic, new items."""
    draw = np.random.default_rng((seed, day))
    weekend = day % 7 in (5, 6)
    number = round(ROWS * draw.uniform(0.8, 1.2) * (1.2 if weekend else 1.0))
    popular = draw.zipf(1.3, number) % 300
    hours = draw.normal(15 if weekend else 18, 4, number)
    clicks = draw.random(number) < (0.24 if weekend else 0.2)
    return pd.DataFrame(
        {
            "item": [f"i{(n + 2 * day) if n > 200 else n}" for n in popular],
            "device": draw.choice(
                ["phone", "tablet", "desktop"], number, p=[0.55, 0.25, 0.2] if weekend else [0.6, 0.15, 0.25]
            ),
            "price": np.exp(draw.normal(3, 1, number)),
            "age": np.where(draw.random(number) < 0.1, np.nan, draw.integers(18, 80, number).astype(float)),
            "hour": np.clip(hours, 0, 23).astype(int),
            "click/label": clicks.astype(float),
            "click/mask": 1.0,
            "watch/label": np.where(clicks, np.exp(draw.normal(3, 0.8, number)), 0.0),
            "watch/mask": clicks.astype(float),
        }
    )


def statistics(frame: pd.DataFrame):
    return tfdv.generate_statistics_from_dataframe(frame).datasets[0]


@pytest.fixture(scope="module")
def days():
    return {f"2024-03-{day + 1:02d}": statistics(rows(day, 1)) for day in range(20)}


def judged(days, drift=None, changed=None, last=LAST, drifted=(), at=LAST, **more):
    names = [name for name in days if name <= last][-8:]
    spans = {name: days[name] for name in names}
    if changed is not None:
        spans[at] = statistics(changed(rows(int(at[-2:]) - 1, 1)))
    return judge(Spans(spans, COLUMNS, LABELS, None, drifted=drifted, **more), drift or Drift())


def test_twenty_clean_days_with_weekends_are_let_pass(days):
    for last in list(days)[1:]:
        [verdict] = judged(days, last=last)
        assert (verdict.status, verdict.gate) == ("passed", "drift"), verdict.sentence
    assert verdict.sentence.startswith(f"drift: {LAST} is like 2024-03-19 and 2024-03-13 to 2024-03-19; ")


def halved(column, value):
    def change(frame):
        keep = np.random.default_rng(0).random(len(frame)) < 0.5
        return frame.assign(**{column: np.where((frame[column] == value) & keep, 0.0, frame[column])})

    return change


def without(column, share):
    def change(frame):
        lost = np.random.default_rng(0).random(len(frame)) < share
        return frame.assign(**{column: np.where(lost, np.nan, frame[column])})

    return change


@pytest.mark.parametrize(
    ("name", "changed", "what", "moved"),
    [
        ("price", lambda f: f.assign(price=f["price"] * 100), "Jensen-Shannon divergence is ", "median 2,0"),
        ("price", lambda f: f.assign(price=f["price"] * 1.1e3), "Jensen-Shannon divergence is ", ", was 2"),
        (
            "item",
            lambda f: f.assign(item="x" + f["item"]),
            "values that were never there is 1.000",
            "such as 'xi1' ",
        ),
        (
            "device",
            lambda f: f.assign(device=f["device"].replace({"phone": "desktop"})),
            "L-infinity of the values' shares is ",
            "'desktop' ",
        ),
        ("click", halved("click/label", 1.0), "the relative change of the label's rate is 0.", ", was "),
        (
            "age",
            without("age", 0.3),
            "share of rows without a value is 0.2",
            "of the rows have no value, and ",
        ),
    ],
)
def test_planted_drift_is_stopped_with_the_values_that_moved(days, name, changed, what, moved):
    found = judged(days, changed=changed)
    assert {v.status for v in found} == {"failed"}
    said = [v.sentence for v in found if v.sentence.startswith(f"drift: {name}: ")]
    assert len(said) >= 2  # against the day before, and against the window
    assert f"{LAST} against 2024-03-19: " in said[0] and " against 2024-03-13 to 2024-03-19: " in said[-1]
    assert any(what in s and moved in s for s in said), said
    others = {v.sentence.split(": ")[1] for v in found} - {name}
    assert others <= ({"watch"} if name == "click" else set()), others


def test_the_recipe_s_bounds_come_first_and_may_only_warn(days):
    found = judged(days, Drift(columns={"hour": 1e-6}, then="warn"))
    assert {v.status for v in found} == {"skipped"}
    assert all(v.sentence.startswith("drift: hour: ") for v in found)
    assert " is allowed by the recipe: median " in found[0].sentence
    assert found[0].sentence.endswith("; the recipe says to warn alone")
    [loose] = judged(days, Drift(values=1, missing=1), without("age", 0.3))
    assert loose.status == "passed"


def test_bounds_are_learned_from_days_that_differ_by_nature():
    """A column that moves as far every day is let pass, and a steady one that does so once is not."""
    draw = np.random.default_rng(0)
    wild = {
        f"2024-03-{day + 1:02d}": statistics(
            pd.DataFrame({"place": draw.choice(["a", "b"], ROWS, p=[0.5 + s, 0.5 - s])})
        )
        for day, s in enumerate([0.15, -0.15, 0.15, -0.15, 0.15, -0.15])
    }
    [verdict] = judge(Spans(wild, ["place"], {}, None), Drift())
    assert verdict.status == "passed" and "learned from 5 earlier spans" in verdict.sentence
    steady = {name: wild["2024-03-01"] for name in wild} | {"2024-03-06": wild["2024-03-06"]}
    assert {v.status for v in judge(Spans(steady, ["place"], {}, None), Drift())} == {"failed"}


def test_nothing_is_learned_from_a_day_that_was_refused(days):
    """It drifts on: told again. The feed is mended: let pass, though the day before is far off."""

    def dear(frame):
        return frame.assign(price=frame["price"] * 1.1e3)

    bad = "2024-03-19"
    broken = days | {bad: statistics(dear(rows(18, 1)))}
    on = judged(broken, changed=dear, drifted=[bad])
    assert {v.status for v in on} == {"failed"}
    for old, verdict in zip(("2024-03-18", f"2024-03-13 to {bad}"), on, strict=True):
        assert verdict.sentence.startswith(f"drift: price: {LAST} against {old}: Jensen-Shannon")
    [mended] = judged(broken, drifted=[bad])
    assert mended.status == "passed"
    assert mended.sentence.startswith(f"drift: {LAST} is like 2024-03-18 and 2024-03-13 to {bad}; ")


def test_a_label_that_half_of_the_rows_lack_is_told_unless_it_is_of_some_rows_alone(days):
    half = without("click/mask", 0.5)

    def lacking(frame):
        known = half(frame)["click/mask"].fillna(0.0)
        return frame.assign(**{"click/mask": known, "click/label": frame["click/label"] * known})

    told = judged(days, changed=lacking, labelled=["click"])
    assert {v.status for v in told} == {"failed"} and len(told) == 2
    start = f"drift: click: {LAST} against 2024-03-19: the change of the share of rows without a label is 0."
    assert told[0].sentence.startswith(start)
    assert "% of the rows have no label" in told[0].sentence and "and 0.0% had none" in told[0].sentence
    [by_nature] = judged(days, changed=lacking)
    assert by_nature.status == "passed"


def test_a_label_that_comes_late_is_compared_where_it_has_come(days):
    """That of the last span is of a few early rows; the newest known is of three spans before."""
    early, late = "2024-03-17", {"click": "2024-03-17"}
    few = {LAST: statistics(rows(19, 1).assign(**{"click/label": 1.0, "click/mask": 1.0}))}
    told = judged(days | few, changed=halved("click/label", 1.0), at=early, late=late)
    assert {v.status for v in told} == {"failed"} and len(told) == 2
    for old, verdict in zip(("2024-03-16", "2024-03-13 to 2024-03-16"), told, strict=True):
        start = f"drift: click: {early} against {old}: the relative change of the label's rate is 0."
        assert verdict.sentence.startswith(start)
    [clean] = judged(days | few, late=late)
    assert clean.status == "passed" and f"{LAST} is like 2024-03-19 and " in clean.sentence
    # refused by the run of 2024-03-19, three days after: nothing is learned of it, and it is not the one before
    wrong = days | few | {"2024-03-16": statistics(halved("click/label", 1.0)(rows(15, 1)))}
    on = judged(wrong, changed=halved("click/label", 1.0), at=early, late=late, drifted=["2024-03-19"])
    assert {v.status for v in on} == {"failed"} and f"{early} against 2024-03-15: " in on[0].sentence
    [mended] = judged(wrong, late=late, drifted=["2024-03-19"])
    assert mended.status == "passed"


def test_a_label_that_is_not_known_yet_is_not_compared(days):
    unknown = judged(days, changed=lambda f: f.assign(**{"click/mask": 0.0, "click/label": 0.0}))
    assert [v.status for v in unknown] == ["passed"]


def test_a_column_without_any_value_is_told(days):
    found = judged(days, changed=lambda f: f.drop(columns="device"))
    assert (
        found[0].sentence.startswith("drift: device: ")
        and "100.0% of the rows have no value" in found[0].sentence
    )


def test_few_users_are_few_rows():
    """A day of five users whose rows are alike moves by chance alone, which as many users would not."""
    draw = np.random.default_rng(0)
    found = {}
    for number in (5, 5_000):
        spans = {}
        for day in range(2):
            users = draw.integers(0, number, 10_000)
            tablets = np.arange(number) < number * (0.4 if day else 0.2)
            frame = pd.DataFrame(
                {"user": [f"u{u}" for u in users], "device": np.where(tablets[users], "t", "p")}
            )
            spans[f"2024-03-{day + 1:02d}"] = statistics(frame)
        found[number] = {v.status for v in judge(Spans(spans, ["device"], {}, "user"), Drift())}
    assert found == {5: {"passed"}, 5_000: {"failed"}}
