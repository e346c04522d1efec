"""`ingest` in Beam: what it writes, and what it says of data it refuses."""

import gzip
import json

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.ingest.counts import Counts
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import source_digest
from pipeline.ingest.run import ingest

DAY = 86_400_000


def pipeline():
    return beam.Pipeline(
        options=PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    )


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(1)
    rows = 400
    return pd.DataFrame(
        {
            "user": draw.integers(0, 40, rows),
            "item": draw.choice(list("abc"), rows),
            "at": np.sort(draw.integers(0, 10 * DAY, rows)),
            "price": draw.random(rows).round(3),
            "clicked": draw.integers(0, 2, rows),
        }
    )


TIME = {"by": "time", "validation_from": "1970-01-07", "test_from": "1970-01-09"}


def test_a_whole_run(tmp_path, shop, run_stages, payloads, frame):
    frame.iloc[:200].to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "b.csv").write_text(frame.iloc[200:].to_csv(index=False) + "x,a,1,1,0\n1,a,2\n")
    recipe = shop(sources={"log": {"files": "*.csv"}}, splits=TIME, dead={"max_share": 0.01})
    heard = []
    out = tmp_path / "out"
    counts = ingest(recipe, tmp_path, out, pipeline(), dead_dir=tmp_path / "dead", progress=heard.append)
    assert counts.read == 402 and counts.dead == {"user: not an int": 1, "wrong number of fields": 1}
    days = frame["at"] // DAY
    assert counts.written == {
        "train": (days < 6).sum(),
        "validation": ((days >= 6) & (days < 8)).sum(),
        "test": (days >= 8).sum(),
    }
    assert counts.known == {"click": counts.written}
    assert (counts.first_time, counts.last_time) == (frame["at"].min(), frame["at"].max())
    assert counts.digests == source_digest(recipe, tmp_path)
    assert Counts.load(out / "counts.json") == counts
    letters = [json.loads(line) for line in (tmp_path / "dead/dead_letters.jsonl").read_text().splitlines()]
    assert [(d["file"], d["position"], d["reason"]) for d in letters] == [
        ("b.csv", 201, "user: 'x' is not an int"),
        ("b.csv", 202, "has 3 fields where the file has 5 columns"),
    ]
    assert letters[0]["row"] == {"user": "x", "item": "a", "at": "1", "price": "1", "clicked": "0"}
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "Split-test/data_tfrecord-00000-of-00001.gz",
        "Split-train/data_tfrecord-00000-of-00001.gz",
        "Split-validation/data_tfrecord-00000-of-00001.gz",
        "counts.json",
    ]
    run_stages(recipe, tmp_path, tmp_path / "stages")
    assert payloads(out) == payloads(tmp_path / "stages")
    assert heard == sorted(heard)


def refused(recipe, folder):
    with pytest.raises(DataError) as error:
        ingest(recipe, folder, folder / "out", pipeline())
    assert not (folder / "out/.ingest").exists()
    return str(error.value), error.value.counts


def test_too_many_dead_rows_are_refused_but_counted(tmp_path, shop, frame):
    frame.assign(price=["x"] * 20 + ["1"] * 380).to_csv(tmp_path / "log.csv", index=False)
    message, counts = refused(shop(dead={"max_share": 0.04}), tmp_path)
    assert message == (
        f"the log: 20 of 400 rows (5.00%) are dead, and dead.max_share allows 4.00%: 20 × price: 'x' is "
        f"not a float; every one is in {tmp_path / 'out/dead_letters.jsonl'}"
    )
    assert counts.rows_dead == 20 and Counts.load(tmp_path / "out/counts.json") == counts
    assert len((tmp_path / "out/dead_letters.jsonl").read_text().splitlines()) == 20


def test_a_task_without_labels_and_a_broken_rule(tmp_path, shop, frame):
    frame.assign(clicked="").to_csv(tmp_path / "log.csv", index=False)
    message, _ = refused(shop(), tmp_path)
    assert message == "tasks.click: no row of train has a label: `clicked` is always missing"
    columns = {
        "user": "int",
        "at": {"type": "time", "min": 0},
        "price": "float",
        "clicked": {"type": "int", "known": "after", "required": True},
        "item": "string",
    }
    message, _ = refused(shop(sources={"log": {"columns": columns}}), tmp_path)
    assert message == "the data break the recipe's rules: clicked is missing in 400 rows"


def test_a_split_without_rows(tmp_path, shop, frame):
    frame.to_csv(tmp_path / "log.csv", index=False)
    message, _ = refused(shop(splits={**TIME, "test_from": "1970-02-01", "utc_offset_hours": 8}), tmp_path)
    assert message.startswith("splits: test has no rows; the data are from 1970-01-01 08:")
    assert message.endswith("validation_from is 1970-01-07 and test_from 1970-02-01, all +8 h from UTC")


def test_no_rows(tmp_path, shop, frame):
    frame.iloc[:0].to_csv(tmp_path / "log.csv", index=False)
    assert refused(shop(), tmp_path)[0] == "sources.log: log.csv: no rows"


def test_a_file_that_breaks_while_it_is_read(tmp_path, shop):
    whole = gzip.compress(b"user,item,at,price,clicked\n" + b"1,a,1,1,1\n" * 1000)
    (tmp_path / "log.csv.gz").write_bytes(whole[:-20])
    message, _ = refused(shop(sources={"log": {"files": "log.csv.gz"}}), tmp_path)
    assert "log.csv.gz: cannot be read: Truncated compressed stream" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.rename(columns={"price": "prices"}),
            "sources.log: log.parquet: `price` is not in it; did you mean 'prices'? "
            "(4 of the recipe's 5 columns are there)",
        ),
        (
            lambda f: f[["user", "item"]].rename(columns={"item": "thing"}),
            "(1 of the recipe's 5 columns are there; is this the data of another recipe?)",
        ),
        (
            lambda f: f.assign(user=f["user"].astype(str)),
            "sources.log: log.parquet: `user` is string there and int in the recipe; write `user: string`",
        ),
    ],
)
def test_columns_that_do_not_fit_stop_the_run_before_it_begins(tmp_path, shop, frame, change, message):
    table = pa.Table.from_pandas(change(frame), preserve_index=False)
    pq.write_table(table, tmp_path / "log.parquet")
    assert message in refused(shop(sources={"log": {"files": "log.parquet"}}), tmp_path)[0]


def test_missing_columns_of_csv_and_json_lines(tmp_path, shop, frame):
    frame.drop(columns="at").to_csv(tmp_path / "log.csv", index=False)
    assert "sources.log: log.csv: `at` is not in it" in refused(shop(), tmp_path)[0]
    frame.drop(columns="at").to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    message, _ = refused(shop(sources={"log": {"files": "log.jsonl"}}), tmp_path)
    assert message.startswith("sources.log: log.jsonl: `at` is in no line")


def test_files_that_are_not_there(tmp_path, shop):
    (tmp_path / "logs").mkdir()
    (tmp_path / "other.csv").write_text("x\n")
    assert refused(shop(), tmp_path)[0] == (
        f"sources.log: no file matches 'log.csv' in {tmp_path}; it holds logs/, other.csv"
    )
    assert "does not exist" in refused(shop(), tmp_path / "nowhere")[0]


def test_digests_follow_content(tmp_path, shop, frame):
    frame.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "users.csv").write_text("user,age\n1,30\n")
    recipe = shop(
        sources={
            "catalogs": {
                "users": {"files": "users.csv", "key": "user", "columns": {"user": "int", "age": "int"}}
            }
        }
    )
    before = source_digest(recipe, tmp_path)
    (tmp_path / "users.csv").write_text("user,age\n1,31\n")
    after = source_digest(recipe, tmp_path)
    assert before["log"] == after["log"] and before["catalogs.users"] != after["catalogs.users"]
