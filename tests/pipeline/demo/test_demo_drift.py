"""Logs of more than ten days, and what may be planted in them."""

import csv
import hashlib

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline import cli
from pipeline.demo import Drift, generate, parse, words

ROWS, SEED, DAYS = 8_000, 5, 14
DAY = "2024-03-16"  # the thirteenth


def contents(folder):
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")

    def made(name, drift):
        out = folder / name
        if not out.exists():
            generate(out, ROWS, SEED, days=DAYS, drift=drift)
        return out

    return made


@pytest.fixture(scope="module")
def clean(world):
    return world("clean", None)


def log(folder, day):
    return pq.read_table(folder / "impressions" / day).to_pandas()


def changed(clean, drifted):
    """What a drift changed, but for the card."""
    one, two = contents(clean), contents(drifted)
    assert set(one) == set(two)
    return {name for name in one if one[name] != two[name]} - {"world.json"}


def test_weekends_and_traffic_differ(tmp_path):
    summary = generate(tmp_path / "world", 60_000, SEED, days=14)
    days = {day: log(tmp_path / "world", day) for day in summary.days}
    assert len(days) == 14 and sum(map(len, days.values())) == 60_000
    # a Thursday, and the one after it, after the tenth day
    assert len(days["2024-03-14"]) == pytest.approx(1.2 * len(days["2024-03-07"]), abs=2)
    kinds = {True: [], False: []}
    for place, frame in enumerate(days.values()):
        kinds[place % 7 >= 5].append(frame)
    weekends, others = (pd.concat(kinds[kind]) for kind in (True, False))
    first = [(frame["surface"] == words.SURFACES[0]).mean() for frame in (weekends, others)]
    assert first[0] < first[1] - 0.03
    assert (weekends["hour"] < 2).mean() > (others["hour"] < 2).mean() + 0.05  # it gets late


def test_ids_are_new_in_log_orders_and_catalog(clean, world):
    drifted = world("ids", Drift("ids", 12))
    of_log = {f"impressions/{day}/part-00000.parquet" for day in (DAY, "2024-03-17")}
    assert {n for n in changed(clean, drifted) if n.startswith("impressions/")} == of_log
    assert not any(n.startswith("propensities/") for n in changed(clean, drifted))
    one, two = log(clean, DAY), log(drifted, DAY)
    assert set(two["item_id"].str[0]) == {"n"} and (two["item_id"].str[1:] == one["item_id"].str[1:]).all()
    with (drifted / "items.csv").open(newline="") as file:
        rows = {row.pop("item_id"): row for row in csv.DictReader(file)}
    assert len(rows) == 2 * len(pq.read_table(clean / "vectors.parquet"))
    assert rows["n00003"] == rows["i00003"]
    bought = pq.read_table(drifted / "orders").to_pandas()
    old = bought["item_id"].str.startswith("i")
    first = pq.read_table(drifted / "impressions" / DAY)["request_id"].to_numpy().min()
    assert (old == (bought["request_id"] < first)).where(bought["request_id"] < 10**12, True).all()


def test_half_the_likes(clean, world):
    drifted = world("label", Drift("label", 12))
    assert {name.split("/")[0] for name in changed(clean, drifted)} == {"impressions", "propensities"}
    one, two = log(clean, DAY), log(drifted, DAY)
    assert two["like"].sum() == pytest.approx(one["like"].sum() / 2, abs=12)
    assert (two["click"] == one["click"]).all() and (two["like"] <= one["like"]).all()


def test_another_unit_and_another_encoder(clean, world):
    drifted = world("unit", Drift("unit", 12))
    assert changed(clean, drifted) == {"items.csv"}
    for one, two in zip((clean / "items.csv").open(), (drifted / "items.csv").open(), strict=True):
        one, two = next(csv.reader([one])), next(csv.reader([two]))
        assert [a for a, b in zip(one, two) if a != b] in ([], [one[6]])
        assert one == two or two[6] == one[6] + "000"
    assert changed(clean, encoded := world("encoder", Drift("encoder", 12))) == {"vectors.parquet"}
    a, b = (np.stack(pq.read_table(f / "vectors.parquet")["look"].to_numpy()) for f in (clean, encoded))
    assert a.shape == b.shape == (60, 16)
    assert abs(np.corrcoef(a.mean(0), b.mean(0))[0, 1]) < 0.7 and np.linalg.norm(a.mean(0) - b.mean(0)) > 2


def test_which_drift_from_which_day():
    assert parse("ids:15", 20) == Drift("ids", 14) and parse("label", 20) == Drift("label", 19)
    for text, said in (("colour", "it is one of unit, ids"), ("ids:21", "1 to 20"), ("ids:", "1 to 20")):
        with pytest.raises(ValueError, match=said):
            parse(text, 20)


def test_the_command_says_what_is_planted(tmp_path):
    def demo(*more):
        return CliRunner().invoke(
            cli.mtl, ["data", "demo", "--out", str(tmp_path / "w"), "--rows", "800", *more]
        )

    assert demo("--days", "12", "--drift", "ids:15").exit_code == 2
    assert "need at least 880" in demo("--days", "22").output
    done = demo("--days", "12", "--drift", "label:11")
    assert done.exit_code == 0
    assert '"drift": "label from 2024-03-14"' in (tmp_path / "w/world.json").read_text()
