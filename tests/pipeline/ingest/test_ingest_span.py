"""One span of a log: the same rows as an ingestion of everything has for its time."""

import numpy as np
import pandas as pd
import pytest

from pipeline.ingest.span_rows import SpanRows

DAY = 86_400_000
HISTORY = {
    "shown": {"kind": "count", "by": ["user"]},
    "rate": {"kind": "rate", "by": ["item"], "of": "clicked == 1", "window": "36h", "delay": "1h"},
}


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(3)
    rows = 600
    return pd.DataFrame(
        {
            "user": draw.integers(0, 20, rows),
            "item": draw.choice(list("abc"), rows),
            "at": np.sort(draw.integers(0, 5 * DAY, rows)),
            "price": draw.random(rows).round(3),
            "clicked": draw.integers(0, 2, rows),
        }
    )


def split(start, end):
    return {
        "by": "time",
        "validation_from": str(pd.to_datetime(start, unit="ms")),
        "test_from": str(pd.to_datetime(end, unit="ms")),
    }


@pytest.mark.parametrize("windowed", [True, False])
def test_spans_together_are_the_whole(tmp_path, shop, run_stages, examples, frame, windowed):
    frame.iloc[:250].to_csv(tmp_path / "a.csv", index=False)
    # rows of all days are in the second file, one of them without a time, and one line is no row
    (tmp_path / "b.csv").write_text(frame.iloc[250:].to_csv(index=False) + "1,a,,1,0\n1,a,2\n")
    history = {"rate": HISTORY["rate"]} if windowed else HISTORY
    log = {"files": "*.csv"}
    recipe = shop(sources={"log": log}, history=history, splits=split(2 * DAY, 3 * DAY))
    counts = run_stages(recipe, tmp_path, tmp_path / "whole")
    whole = [row for rows in examples(recipe, tmp_path / "whole").values() for row in rows]
    found, read, dead = [], 0, 0
    for day in range(5):
        start = day * DAY
        since = start - 36 * DAY // 24 if windowed else None
        rows = SpanRows(
            start, start + DAY, since, frozenset({"b.csv"} if day == 4 else {"a.csv"} if day == 0 else ())
        )
        recipe = shop(sources={"log": log}, history=history, splits=split(start + DAY // 2, start + DAY))
        of = run_stages(recipe, tmp_path, tmp_path / f"{day}", span=rows)
        parts = examples(recipe, tmp_path / f"{day}")
        assert parts["test"] == []
        assert {row["at"][0] < start + DAY // 2 for row in parts["train"]} == {True}
        assert {row["at"][0] < start + DAY // 2 for row in parts["validation"]} == {False}
        assert of.read == of.rows_written + of.rows_dropped + of.rows_dead
        found += parts["train"] + parts["validation"]
        read, dead = read + of.read, dead + of.rows_dead
    assert (read, dead) == (counts.read, 2)

    def key(row):
        return row["row/id"][0]

    assert sorted(found, key=key) == sorted(whole, key=key) and len(whole) == 600


def test_rows_read_for_history_are_told_by_their_own_span(tmp_path, shop, run_stages):
    """Of two days with repeats, dead rows, prices that no catalog has, long lists and clicks that are none, the
    second tells its own."""
    noon, rows = DAY // 2, []
    for day, repeats, bad in ((0, 3, 4), (1, 1, 2)):
        rows += [(day * 100 + n, "a", day * DAY + n, 1.0, 1, "x") for n in range(50)]
        rows += rows[-repeats:]
        rows += [(day * 100 + 60 + n, "a", day * DAY + noon + n, "dear", 1, "x") for n in range(bad)]
        rows += [(day * 100 + 90 + n, "gone", day * DAY + noon + n, 1.0, 1, "x") for n in range(bad)]
        rows += [(day * 100 + 80 + n, "a", day * DAY + noon + n, 1.0, 1, "x|y|z") for n in range(bad)]
    rows.append((70, "a", noon, 1.0, 9, "x"))
    log = pd.DataFrame(rows, columns=["user", "item", "at", "price", "clicked", "tags"])
    log.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "items.csv").write_text("item,usual\na,1\n")
    columns = shop().sources.log.model_dump(mode="json")["columns"]
    columns["clicked"]["max"] = 1
    columns["tags"] = {"type": "list[string]", "separator": "|", "max_length": 2}
    usual = {"type": "float", "known": "after", "max": 0}
    for lookup, dead in (("in_memory", True), ("by_key", True), ("by_key", False)):
        items = {
            "files": "items.csv",
            "key": "item",
            "join": lookup,
            "columns": {"item": "string", "usual": usual},
            "unmatched": "dead" if dead else "missing",
        }
        sources = {
            "log": {"files": "log.csv", "unique": ["user", "item", "at"], "columns": columns},
            "catalogs": {"items": items},
        }
        recipe = shop(sources=sources, history=HISTORY, splits=split(DAY + noon, 2 * DAY))
        span = SpanRows(DAY, 2 * DAY, None, frozenset({"log.csv"}))
        counts = run_stages(recipe, tmp_path, tmp_path / f"{lookup}{dead}", span=span)
        assert (counts.read, counts.for_history) == (50 + 1 + 4 * 2 - 2, 50 + 3 + 4 * 3 + 1), lookup
        assert counts.dropped == {"repeat": 1} and counts.rows_dead == (4 if dead else 2)
        assert counts.unmatched == {"items": 2} and counts.cut == {"tags": 2}
        # the clicks that are none are of the day before, whose own ingestion they stopped
        assert counts.broken == {"usual is more than 0": 50 + 1 + 2}
