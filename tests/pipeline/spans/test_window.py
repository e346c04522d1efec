"""Spans as one data set in three splits."""

from pipeline.ingest.counts import Counts
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
