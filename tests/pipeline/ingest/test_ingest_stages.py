"""Both stages together, without Beam: counts, repeats, and independence from how the work is cut."""

import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest import plan as plan_module
from pipeline.ingest import read_csv, read_parquet, spill

COLUMNS = ["user", "item", "at", "price", "clicked"]
cell = st.one_of(st.sampled_from(["", "1", "0", "2", "x", "1.0", "-", "1e400"]), st.integers(0, 5).map(str))
row = st.tuples(
    st.sampled_from(["", "1", "2", "3"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "100", "200", "x"]),
    cell,
    st.sampled_from(["0", "1", "", "2", "y"]),
)
ragged = st.lists(cell, min_size=2, max_size=7).filter(lambda r: len(r) != 5 and any(r))
dirty = st.lists(st.one_of(row, row, row, ragged), min_size=1, max_size=30)


def write_csv(path, rows):
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    path.write_text(text.getvalue())


@settings(deadline=None, max_examples=50)
@given(dirty)
def test_counts_add_up_on_any_dirty_file(tmp_path_factory, shop, run_stages, examples, rows):
    folder = tmp_path_factory.mktemp("dirty")
    write_csv(folder / "log.csv", rows)
    recipe = shop(sources={"log": {"unique": ["user", "item", "at"]}})
    counts = run_stages(recipe, folder, folder / "out")
    counts.check()
    assert counts.read == len(rows)
    written = [r for split in examples(recipe, folder / "out").values() for r in split]
    assert len(written) == counts.rows_written

    def alive(r):
        if len(r) != 5 or r[2] == "x" or r[3] in ("x", "-", "1e400") or r[4] in ("2", "y"):
            return False
        return True

    live = pd.DataFrame([r for r in rows if alive(r)], columns=COLUMNS)
    assert counts.rows_dead == len(rows) - len(live)
    keys = live[["user", "item", "at"]]
    repeats = keys.duplicated() & (keys != "").all(axis=1)
    assert counts.rows_dropped == repeats.sum()
    kept = live[~repeats]

    def shown(value):
        return [] if value is None else value

    got = sorted(
        (
            shown(r["user"]),
            shown(r["item"]),
            shown(r["at"]),
            shown(r["price"]),
            r["click/label"],
            r["click/mask"],
        )
        for r in written
    )
    want = sorted(
        (
            [int(u)] if u else [],
            [i.encode()] if i else [],
            [int(t)] if t else [],
            [float(p)] if p else [],
            [float(c or 0)],
            [float(c != "")],
        )
        for u, i, t, p, c in kept.itertuples(index=False)
    )
    assert got == want


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(0)
    rows = 3000
    return pd.DataFrame(
        {
            "user": draw.integers(0, 40, rows),
            "item": draw.choice(list("abcdefg"), rows),
            "at": draw.integers(0, 50, rows),
            "price": np.round(draw.exponential(10, rows), 3),
            "clicked": draw.integers(0, 2, rows),
        }
    )


def test_the_first_of_repeats_is_kept_and_files_go_by_name(tmp_path, shop, run_stages, examples, frame):
    parts = np.array_split(np.arange(len(frame)), 3)
    for name, part in zip(("c.csv", "a.csv", "b.csv"), parts):
        frame.iloc[part].to_csv(tmp_path / name, index=False)
    recipe = shop(sources={"log": {"files": "*.csv", "unique": ["user", "item", "at"]}})
    counts = run_stages(recipe, tmp_path, tmp_path / "out", shards=4)
    ordered = pd.concat([frame.iloc[parts[i]] for i in (1, 2, 0)])
    kept = ordered.drop_duplicates(["user", "item", "at"])
    assert counts.dropped == {"repeat": len(frame) - len(kept)} and counts.rows_written == len(kept)
    written = [r for split in examples(recipe, tmp_path / "out").values() for r in split]
    got = sorted((r["user"][0], r["item"][0].decode(), r["at"][0], r["price"][0]) for r in written)
    want = sorted(kept[["user", "item", "at"]].itertuples(index=False, name=None))
    assert [g[:3] for g in got] == want
    prices = kept.set_index(["user", "item", "at"])["price"]
    np.testing.assert_allclose([g[3] for g in got], [prices[g[:3]] for g in got], rtol=1e-6)


def test_how_the_work_is_cut_changes_no_byte(tmp_path, shop, run_stages, payloads, frame, monkeypatch):
    recipe = shop(sources={"log": {"files": "log.parquet", "unique": ["user", "item", "at"]}})
    outputs = []
    for number, (group_rows, batch_rows, piece_bytes, spill_bytes) in enumerate(
        [(3000, 4096, 1 << 30, 1 << 30), (400, 100, 1, 1), (700, 33, 20_000, 5_000)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        pq.write_table(pa.Table.from_pandas(frame), folder / "log.parquet", row_group_size=group_rows)
        monkeypatch.setattr(read_parquet.read_parquet, "__defaults__", (None, 1, batch_rows))
        monkeypatch.setattr(plan_module, "PIECE_BYTES", piece_bytes)
        monkeypatch.setattr(spill, "SPILL_BYTES", spill_bytes)
        run_stages(recipe, folder, folder / "out", shards=4)
        outputs.append(payloads(folder / "out"))
    assert sum(len(rows) for rows in outputs[0].values()) > 2000
    assert outputs[0] == outputs[1] == outputs[2]


def test_csv_and_parquet_give_the_same_rows(tmp_path, shop, run_stages, examples, frame, monkeypatch):
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "log.parquet")
    monkeypatch.setattr(read_csv.read_csv, "__defaults__", (1000,))
    found = []
    for ending in ("csv", "jsonl", "parquet"):
        recipe = shop(sources={"log": {"files": f"log.{ending}"}})
        run_stages(recipe, tmp_path, tmp_path / ending)
        rows = [r for split in examples(recipe, tmp_path / ending).values() for r in split]
        found.append(sorted(str({k: v for k, v in r.items() if k != "row/id"}) for r in rows))
    assert len(found[0]) == len(frame) and found[0] == found[1] == found[2]


def test_order_is_random_but_fixed(tmp_path, shop, run_stages, examples, frame):
    frame.assign(user=np.arange(len(frame))).to_csv(tmp_path / "log.csv", index=False)
    recipe = shop()
    run_stages(recipe, tmp_path, tmp_path / "out")
    train = examples(recipe, tmp_path / "out")["train"]
    ids = [r["row/id"][0] for r in train]
    assert ids == sorted(ids)
    users = np.array([r["user"][0] for r in train])
    assert abs(np.corrcoef(users, np.arange(len(users)))[0, 1]) < 0.1


def test_catalogs_join_and_unmatched_rows_may_be_dead(tmp_path, shop, run_stages, examples):
    write_csv(
        tmp_path / "log.csv", [("1", "a", "5", "1", "0"), ("2", "b", "5", "1", "1"), ("", "a", "5", "1", "1")]
    )
    (tmp_path / "users.csv").write_text("user,age\n1,30\n")
    (tmp_path / "items.csv").write_text("item,since,colour\na,6,red\na,4,blue\nb,9,green\n")
    catalogs = {
        "users": {"files": "users.csv", "key": "user", "columns": {"user": "int", "age": "int"}},
        "items": {
            "files": "items.csv",
            "key": "item",
            "time": "since",
            "columns": {"item": "string", "since": {"type": "time", "min": 0}, "colour": "string"},
        },
    }
    recipe = shop(sources={"catalogs": catalogs})
    counts = run_stages(recipe, tmp_path, tmp_path / "out")
    assert counts.unmatched == {"users": 2, "items": 1} and counts.rows_written == 3
    rows = [r for split in examples(recipe, tmp_path / "out").values() for r in split]
    assert sorted((str(r["user"]), str(r["age"]), str(r["colour"])) for r in rows) == [
        ("None", "None", "[b'blue']"),
        ("[1]", "[30]", "[b'blue']"),
        ("[2]", "None", "None"),
    ]

    catalogs["users"]["unmatched"] = "dead"
    counts = run_stages(shop(sources={"catalogs": catalogs}), tmp_path, tmp_path / "out2")
    assert counts.dead == {"users: no row": 2} and counts.rows_written == 1
    assert counts.examples_of_dead == {"users: no row": "users has no row for user 2"}
