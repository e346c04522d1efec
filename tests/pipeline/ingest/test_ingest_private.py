"""Private columns: what is written is what would be of values hashed beforehand, and no value is in it."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.errors import DataError
from pipeline.ingest.read import check_columns, read
from pipeline.ingest.read_stage import write_letters
from pipeline.recipe.parts import Log
from serving.private import VARIABLE, Hasher, NoKey

KEY = "0123456789abcdef0123456789abcdef"
MINUTE = 60_000
ROWS, USERS = 300, 40
MARK = "@example.org"  # in every private text; numbers are of twelve digits and begin with 7654
USER, CARD = ({"type": kind, "private": True} for kind in ("string", "int"))
FRIENDS = {"type": "list[string]", "separator": " ", "max_length": 3, "private": True}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)


def user(number):
    return f"anna.{number:06d}{MARK}"


def tables(hasher=None):
    """The shop's log, users and sales; with a hasher, what stands for private values is in their place."""
    draw = np.random.default_rng(1)
    one = (lambda v: v) if hasher is None else hasher.value
    of = draw.integers(0, USERS, ROWS)
    at = 1_700_000_000_000 + np.arange(ROWS) * MINUTE
    log = {
        "user": [one(user(u)) if u else None for u in of],
        "card": [one(765_400_000_000 + int(u) * 7) for u in of],
        "friends": [" ".join(one(user(f)) for f in draw.integers(0, USERS, u % 5)) for u in of],
        "item": draw.choice(list("abc"), ROWS).tolist(),
        "at": at.tolist(),
        "price": draw.random(ROWS).round(3).tolist(),
        "clicked": draw.integers(0, 2, ROWS).tolist(),
    }
    known = range(1, USERS, 2)
    users = {"user": [one(user(u)) for u in known], "city": [f"city {u % 4}" for u in known]}
    sales = {name: log[name][::7] for name in ("user", "item")} | {"sold_at": (at[::7] + 1000).tolist()}
    return {"log": log, "users": users, "sales": sales}


def recipe_of(shop, private, join="in_memory"):
    def column(spec):
        return spec if private else {k: v for k, v in spec.items() if k != "private"}

    return shop(
        sources={
            "log": {
                "files": "log.*",
                "columns": {
                    "user": column(USER),
                    "card": column(CARD),
                    "friends": column(FRIENDS),
                    "item": "string",
                    "at": "time",
                    "price": "float",
                    "clicked": {"type": "int", "known": "after"},
                },
            },
            "catalogs": {
                "users": {
                    "files": "users.csv",
                    "key": "user",
                    "join": join,
                    "columns": {"user": column(USER), "city": "string"},
                }
            },
            "events": {
                "sales": {
                    "files": "sales.csv",
                    "keys": ["user", "item"],
                    "time": "sold_at",
                    "columns": {"user": column(USER), "item": "string", "sold_at": "time"},
                }
            },
        },
        history={
            "cards": {"kind": "last", "by": "user", "of": "card", "n": 2},
            "seen": {"kind": "count", "by": "card"},
        },
        tasks={"buy": {"kind": "binary", "events": {"source": "sales", "window": "1h", "open": "negative"}}},
        splits={"by": "hash", "of": "user", "validation": 0.2, "test": 0.2},
    )


def csv(table):
    lines = [",".join(table)]
    lines += [",".join("" if v is None else str(v) for v in row) for row in zip(*table.values())]
    return "\n".join(lines) + "\n"


BAD = {
    "csv": [
        f"{user(1)},765400000001,,a,1,1,0,one field too many {MARK}",
        f'"{user(2)}" and more,765400000001,,a,1,1,0',
        f"{user(3)},no number {MARK},,a,1700000000000,1,0",
        f"{user(4)},765400000004,,a,1700000000000,no price,0",
        f"{user(5)},765400000005,{user(6)},a,,1,0",
    ],
    "jsonl": [
        f'{{"user": "{user(1)}", "card": 765400000001',
        f'{{"user": {{"name": "{user(2)}"}}, "card": 765400000002, "at": 1700000000000}}',
        f'{{"user": "{user(3)}", "card": "no number {MARK}", "at": 1700000000000}}',
        f'{{"user": "{user(4)}", "card": 765400000004, "at": 1700000000000, "price": "no price"}}',
        f'["{user(5)}"]',
    ],
    "parquet": [],
}


def write(folder, kind, hasher=None):
    folder.mkdir()
    found = tables(hasher)
    log, bad = found["log"], "".join(f"{line}\n" for line in BAD[kind])
    if kind == "csv":
        (folder / "log.csv").write_text(csv(log) + bad)
    elif kind == "jsonl":
        rows = [dict(zip(log, row)) for row in zip(*log.values())]
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + bad)
    else:
        log = log | {"friends": [f.split() or None for f in log["friends"]]}
        pq.write_table(pa.table(log), folder / "log.parquet")
    for name in ("users", "sales"):
        (folder / f"{name}.csv").write_text(csv(found[name]))


def everything(folder):
    """All that files hold, those that are packed unpacked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found[path] = gzip.decompress(content) if path.suffix == ".gz" else content
    return found


@pytest.mark.parametrize(("kind", "join"), [("csv", "in_memory"), ("jsonl", "by_key"), ("parquet", "by_key")])
def test_examples_are_those_of_values_hashed_beforehand(
    tmp_path, shop, run_stages, payloads, examples, kind, join
):
    hasher = Hasher(KEY)
    write(tmp_path / "raw", kind)
    write(tmp_path / "hashed", kind, hasher)
    counts = run_stages(recipe_of(shop, True, join), tmp_path / "raw", tmp_path / "out", 2)
    other = run_stages(recipe_of(shop, False, join), tmp_path / "hashed", tmp_path / "other", 2)
    assert payloads(tmp_path / "out") == payloads(tmp_path / "other")
    assert counts.dead == other.dead
    # the split is by user, who is missing in some rows
    assert sum(counts.dead.values()) == len(BAD[kind]) + counts.dead["user is missing"]
    assert counts.matched["users"] and counts.attributed["buy"]["matched"]
    rows = [row for of in examples(recipe_of(shop, True), tmp_path / "out").values() for row in of]
    assert {len(user) for row in rows for user in row["user"] or []} == {32}
    assert any(row["cards"] for row in rows) and all(
        0 <= c < 2**53 for row in rows for c in row["cards"] or []
    )
    for path, content in everything(tmp_path / "out").items():
        assert MARK.encode() not in content and b"7654000" not in content, path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_dead_rows_are_shown_with_hashes_or_not_at_all(tmp_path, shop, kind):
    write(tmp_path / "raw", kind)
    recipe = recipe_of(shop, True)
    log: Log = recipe.sources.log
    with (tmp_path / "letters").open("w") as file:
        for batch in read(tmp_path / "raw", f"log.{kind}", log, list(log.columns)):
            write_letters(file, "log", batch.drop_problems("log"))
    text = (tmp_path / "letters").read_text()
    assert MARK not in text and "7654000" not in text
    letters = [json.loads(line) for line in text.splitlines()]
    assert any(letter["row"] == "(not kept: the source has private columns)" for letter in letters)
    price = next(letter for letter in letters if letter["kind"] == "price: not a float")
    assert price["row"]["user"] == Hasher(KEY).text(user(4)) and "no price" in price["reason"]
    card = next(letter for letter in letters if letter["kind"] == "card: not an int")
    assert "'(private)' is not an int" in card["reason"]


def test_without_a_key_nothing_is_read(tmp_path, shop, run_stages, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    write(tmp_path / "raw", "parquet")
    with pytest.raises(NoKey, match="MTL_PRIVATE_KEY is not set"):
        run_stages(recipe_of(shop, True), tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_file_that_lost_its_header_is_refused_without_a_word_of_its_first_line(tmp_path, shop, delimiter):
    write(tmp_path / "raw", "csv")
    log = tmp_path / "raw" / "log.csv"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1:]).replace(",", delimiter))
    with pytest.raises(DataError, match="the source has private columns") as caught:
        check_columns(tmp_path / "raw", ["log.csv"], recipe_of(shop, True).sources.log, "sources.log")
    assert MARK not in str(caught.value) and "7654" not in str(caught.value)
