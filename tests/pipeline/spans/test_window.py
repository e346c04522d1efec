"""Spans as one data set in three splits."""

import pyarrow as pa
import pytest
from tensorflow.core.example import example_pb2

from pipeline.ingest.counts import Counts
from pipeline.ingest.examples import encode_examples
from pipeline.ingest.tfrecords import TFRecordWriter, read_records
from pipeline.spans.window import parts_of, write_window


def test_each_split_is_later_than_the_one_before():
    assert parts_of([7, 5, 6, 8], 8) == {
        "train": [(5, "head"), (5, "tail"), (6, "head"), (6, "tail"), (7, "head")],
        "validation": [(7, "tail")],
        "test": [(8, "head"), (8, "tail")],
    }
    assert parts_of([5, 6], 6) == {
        "train": [(5, "head")],
        "validation": [(5, "tail")],
        "test": [(6, "head"), (6, "tail")],
    }


def test_what_the_model_that_a_run_begins_from_has_seen_is_not_trained_on_again():
    whole = parts_of([3, 5, 6, 7, 8], 8)
    for base in (6, 7):
        parts = parts_of([3, 5, 6, 7, 8], 8, base)
        # a run of the span `base` trained on all before it but the tail of the last, by which it stopped
        assert parts["earlier"] == parts_of([3, 5, 6, 7], base)["train"]
        assert parts["earlier"] + parts["train"] == whole["train"]
        assert parts["train"][0] == (base - 1, "tail")
        assert (parts["validation"], parts["test"]) == (whole["validation"], whole["test"])


def test_files_are_linked_and_counts_are_of_the_splits(tmp_path):
    folders = {}
    for number in (5, 6, 7):
        folders[number] = tmp_path / f"{number}"
        for part in ("head", "tail"):
            (folders[number] / f"Split-{part}").mkdir(parents=True)
            (folders[number] / f"Split-{part}" / "data.gz").write_text(f"{number} {part}")
        Counts(
            read=10 * number + 1,
            written={"train": 8 * number, "validation": 2 * number, "test": 0},
            dead={"bad": 1},
            known={"click": {"train": 3 * number, "validation": number, "test": 0}},
        ).write(folders[number] / "counts.json")
        (folders[number] / "catalogs").mkdir()
        (folders[number] / "catalogs/items.arrow").write_text(f"as of {number}")
    counts = write_window(folders, 7, tmp_path / "out")
    assert counts.written == {"train": 50 + 48, "validation": 12, "test": 70}
    assert counts.known == {"click": {"train": 20 + 18, "validation": 6, "test": 28}}
    assert Counts.load(tmp_path / "out/counts.json") == counts
    said = {
        split: [path.read_text() for path in sorted((tmp_path / "out" / f"Split-{split}").iterdir())]
        for split in counts.written
    }
    assert said == {
        "train": ["5 head", "5 tail", "6 head"],
        "validation": ["6 tail"],
        "test": ["7 head", "7 tail"],
    }
    one, other = tmp_path / "6/Split-tail/data.gz", tmp_path / "out/Split-validation/00000006-tail-data.gz"
    assert one.samefile(other)
    assert (tmp_path / "out/catalogs/items.arrow").read_text() == "as of 7"
    later = write_window(folders, 7, tmp_path / "later", base=6)
    assert later.written == {"train": 10 + 48, "validation": 12, "test": 70}
    assert later.dropped == {"trained on before, by the model that this one begins from": 40}
    [old] = (tmp_path / "later/Split-earlier").iterdir()
    assert old.read_text() == "5 head"


@pytest.fixture
def four_days(tmp_path):
    """Days 5 to 8 with a row of `click` in the head and in the tail of each; `buy` is known to day 7's head,
    where it is 1, and has the weight 3."""
    folders = {}
    for number in range(5, 9):
        folders[number] = tmp_path / f"{number}"
        known = {"train": int(number <= 7), "validation": int(number <= 6), "test": 0}
        for part, split in (("head", "train"), ("tail", "validation")):
            (folders[number] / f"Split-{part}").mkdir(parents=True)
            row = {"day": number, "click/label": 1.0, "click/mask": 1.0, "click/weight": 1.0}
            of_buy = {"label": 1.0, "mask": 1.0, "weight": 3.0}
            row |= {f"buy/{what}": known[split] * x for what, x in of_buy.items()}
            columns = {n: pa.array([x], pa.int64() if n == "day" else pa.float32()) for n, x in row.items()}
            columns["tags"] = pa.array([["a", "b"]])
            with TFRecordWriter(folders[number] / f"Split-{part}" / "data.gz") as writer:
                writer.write(encode_examples(columns))
        Counts(
            read=2,
            written={"train": 1, "validation": 1, "test": 0},
            known={"click": {"train": 1, "validation": 1, "test": 0}, "buy": known},
        ).write(folders[number] / "counts.json")
    return folders


def rows(folder, split):
    """(day, whether click is known, whether buy is) of each row."""
    found = []
    for path in sorted((folder / f"Split-{split}").iterdir()):
        with path.open("rb") as file:
            for record in (r for records in read_records(file, path.name) for r in records):
                of = example_pb2.Example.FromString(record).features.feature
                assert list(of["tags"].bytes_list.value) == [b"a", b"b"]
                parts = ("label", "mask", "weight")
                click, buy = ([of[f"{t}/{p}"].float_list.value[0] for p in parts] for t in ("click", "buy"))
                assert click in ([1, 1, 1], [0, 0, 0]) and buy in ([1, 1, 3], [0, 0, 0])
                found.append((of["day"].int64_list.value[0], click != [0, 0, 0], buy != [0, 0, 0]))
    return found


def test_a_task_that_is_judged_on_an_earlier_day_is_trained_as_that_days_run_would(four_days, tmp_path):
    plain = write_window(four_days, 8, tmp_path / "plain")
    assert plain.known["buy"] == {"train": 5, "validation": 0, "test": 0}
    counts = write_window(four_days, 8, tmp_path / "out", held={"buy": 7})
    out = tmp_path / "out"
    # day 7 and the tail before it are not trained on; that tail is what it is stopped by
    both, click = (True, True), (True, False)
    assert rows(out, "train") == [(5, *both), (5, *both), (6, *both), (6, *click), (7, *click)]
    assert rows(out, "validation") == [(6, False, True), (7, True, False)]
    assert rows(out, "test") == [(8, True, False)] * 2
    assert rows(out, "closed-7") == [(7, True, True), (7, True, False)]
    assert counts.known == {
        "click": {"train": 5, "validation": 1, "test": 2},
        "buy": {"train": 3, "validation": 1, "test": 0},
    }
    assert counts.written == plain.written == {"train": 5, "validation": 1, "test": 2}
    # what nothing is hidden in is no copy
    assert (out / "Split-train/00000005-head-data.gz").samefile(four_days[5] / "Split-head/data.gz")
    again = write_window(four_days, 8, tmp_path / "again", held={"buy": 7})
    assert again == counts
    one, other = (p / "Split-train/00000007-head-data.gz" for p in (out, tmp_path / "again"))
    assert one.read_bytes() == other.read_bytes()


def test_a_model_that_goes_on_is_stopped_by_labels_it_has_not_seen(four_days, tmp_path):
    out = tmp_path / "out"
    counts = write_window(four_days, 8, out, base=7, held={"buy": 6})
    assert rows(out, "train") == [(6, True, False), (7, True, False)]
    assert rows(out, "validation") == [(5, False, True), (7, True, False)]
    assert rows(out, "closed-6") == [(6, True, True)] * 2
    assert counts.known["buy"] == {"train": 0, "validation": 1, "test": 0}
    first = write_window(four_days, 8, tmp_path / "first", base=7, held={"buy": 5})  # nothing is before
    assert first.known["buy"] == {"train": 0, "validation": 0, "test": 0}
