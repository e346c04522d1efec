import csv
import datetime as dt
import hashlib
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import cli_data
from pipeline.demo import ForeignFolderError, generate, generation, words
from pipeline.demo.catalogs import catalog_sizes
from pipeline.demo.relations import RELATIONS

ROWS, SEED = 60_000, 5


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "world"
    progress = []
    summary = generate(out, ROWS, SEED, progress=progress.append)
    return out, summary, progress


@pytest.fixture(scope="module")
def log(made):
    return pq.read_table(made[0] / "impressions").to_pandas()


def catalog(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_a_day(made):
    out, summary, progress = made
    days = [str(dt.date(2024, 3, 4) + dt.timedelta(days=i)) for i in range(10)]
    assert summary.days == days
    for kind in ("impressions", "propensities"):
        assert sorted(path.name for path in (out / kind).iterdir()) == days
        assert (out / kind / days[0] / "part-00000.parquet").is_file()
    assert not list(out.rglob("*.tmp"))
    assert progress == sorted(progress) and progress[-1] == ROWS


def test_rows_are_exactly_as_many_as_asked_and_ids_unique(made, log):
    assert len(log) == ROWS
    assert sorted(log["impression_id"]) == list(range(ROWS))
    assert log.groupby("request_id").size().between(10, 20).all()
    assert log.groupby("request_id")[["user_id", "timestamp"]].nunique().eq(1).all().all()


def test_each_row_stands_in_the_folder_of_its_day_and_hour(made):
    out, summary, _ = made
    for day in summary.days:
        table = pq.read_table(out / "impressions" / day).to_pandas()
        stamps = [dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in table["timestamp"]]
        assert {str(stamp.date()) for stamp in stamps} == {day}
        assert [stamp.hour for stamp in stamps] == table["hour"].tolist()


def test_labels_are_there_where_they_should_be(made):
    table = pq.read_table(made[0] / "impressions")
    click = table["click"].to_numpy()
    for task in ("click", "like"):
        assert table[task].null_count == 0
        assert set(table[task].unique().to_pylist()) == {0, 1}
    np.testing.assert_array_equal(table["watch_seconds"].is_null().to_numpy(), click == 0)
    assert "purchase" not in table.column_names  # the checkout tells, later


def test_propensities_lie_row_for_row_beside_the_log(made, log):
    truth = pq.read_table(made[0] / "propensities").to_pandas()
    assert truth["impression_id"].tolist() == log["impression_id"].tolist()
    assert truth.notna().all().all()
    for name in ("p_click", "p_like", "p_purchase"):
        assert truth[name].between(0, 1).all()
    top = truth["p_click"] > truth["p_click"].quantile(0.9)
    assert log["click"][top].mean() == pytest.approx(truth["p_click"][top].mean(), abs=0.03)


def test_the_log_refers_to_the_catalogs(made, log):
    users, items = catalog(made[0] / "users.csv"), catalog(made[0] / "items.csv")
    assert (len(users), len(items)) == catalog_sizes(ROWS) == (made[1].users, made[1].items)
    for key, rows in (("user_id", users), ("item_id", items)):
        known = [row[key] for row in rows]
        assert len(set(known)) == len(known)
        assert set(log[key]) <= set(known)


def test_catalog_values_are_of_their_words_and_some_are_missing(made):
    users, items = catalog(made[0] / "users.csv"), catalog(made[0] / "items.csv")
    for row in users:
        assert row["segment"] in words.SEGMENTS
        assert set(filter(None, row["interests"].split("|"))) <= set(words.CATEGORIES)
        assert dt.date.fromisoformat(row["signup_date"]) < dt.date(2024, 3, 4)
    for row in items:
        subcategories = words.CATEGORIES[row["category"]]
        assert row["subcategory"] in {"", *subcategories}
        if row["title"] and row["subcategory"]:
            assert row["title"].split()[1] in subcategories[row["subcategory"]]
        stamp = dt.datetime.fromisoformat(row["published_at"])
        assert stamp < dt.datetime(2024, 3, 4, tzinfo=dt.UTC)
    for rows, names in ((users, ("age", "interests")), (items, ("brand", "price"))):
        for name in names:
            missing = sum(row[name] == "" for row in rows)
            assert 0 < missing < len(rows) / 5, name


def test_the_same_arguments_give_the_same_bytes_whatever_the_parts(made, tmp_path, monkeypatch):
    again = generate(tmp_path / "again", ROWS, SEED)
    assert again == made[1]
    assert digests(tmp_path / "again") == digests(made[0])
    monkeypatch.setattr(generation, "REQUESTS_A_PART", 97)
    cut = generate(tmp_path / "cut", ROWS, SEED)
    assert cut.orders == made[1].orders
    assert len(list((tmp_path / "cut" / "impressions").rglob("*.parquet"))) > 30
    for kind in ("impressions", "orders", "propensities"):
        assert pq.read_table(tmp_path / "cut" / kind).equals(pq.read_table(made[0] / kind))


def test_another_seed_is_another_world(made, tmp_path):
    generate(tmp_path / "other", ROWS, SEED + 1)
    ours, theirs = digests(made[0]), digests(tmp_path / "other")
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if ours[name] == theirs[name]]


def test_a_relation_changes_what_follows_and_not_what_is_shown(tmp_path):
    generate(tmp_path / "related", 1000, SEED)
    summary = generate(tmp_path / "conflict", 1000, SEED, relation="conflict")
    ours, theirs = digests(tmp_path / "related"), digests(tmp_path / "conflict")
    assert ours["items.csv"] == theirs["items.csv"] and ours["users.csv"] == theirs["users.csv"]
    followed = ["click", "like", "watch_seconds"]
    shown = [pq.read_table(tmp_path / r / "impressions").drop(followed) for r in ("related", "conflict")]
    assert shown[0].equals(shown[1])
    name = "propensities/2024-03-04/part-00000.parquet"
    assert ours[name] != theirs[name]
    cards = [json.loads((tmp_path / r / "world.json").read_text()) for r in ("related", "conflict")]
    assert "relation" not in cards[0] and cards[1]["relation"] == summary.relation == "conflict"


def test_the_command_offers_every_relation():
    [option] = [p for p in cli_data.demo.params if p.name == "relation"]
    assert tuple(option.type.choices) == tuple(RELATIONS)


def test_titles_and_catalogs_do_not_depend_on_the_content_effect(made, tmp_path):
    generate(tmp_path / "loud", ROWS, SEED, content_effect=1.0)
    ours, theirs = digests(made[0]), digests(tmp_path / "loud")
    assert ours["items.csv"] == theirs["items.csv"] and ours["users.csv"] == theirs["users.csv"]
    name = "propensities/2024-03-04/part-00000.parquet"
    assert ours[name] != theirs[name]


def test_the_card_holds_what_was_made(made, log):
    card = json.loads((made[0] / "world.json").read_text())
    assert card["complete"] is True
    assert (card["rows"], card["seed"]) == (ROWS, SEED)
    assert card["ceilings"]["all"]["click"]["rate"] == pytest.approx(log["click"].mean())
    assert sum(card["ceilings"][day]["like"]["examples"] for day in card["days"]) == ROWS
    assert card["ceilings"]["all"]["purchase"]["examples"] == log["click"].sum()
    for task in ("click", "like", "purchase"):
        assert card["ceilings"]["all"][task]["auc"] > 0.75


def test_ceilings_are_those_of_the_files(made, log):
    from sklearn.metrics import roc_auc_score

    truth = pq.read_table(made[0] / "propensities").to_pandas()
    last = pq.read_table(made[0] / "impressions" / made[1].days[-1]).num_rows
    found = made[1].ceilings[made[1].days[-1]]
    for task in ("click", "like"):
        exact = roc_auc_score(log[task][-last:], truth[f"p_{task}"][-last:])
        assert found[task]["auc"] == pytest.approx(exact, abs=1e-5)


def test_a_world_is_replaced_whole_even_if_it_was_left_half_written(tmp_path):
    out = tmp_path / "world"
    generate(out, 30_000, 1)
    fresh = digests(out)
    card = json.loads((out / "world.json").read_text())
    (out / "world.json").write_text(json.dumps(card | {"complete": False}))
    (out / "users.csv").write_text("half")
    stale = out / "impressions" / "2024-03-04" / "part-00009.parquet"
    stale.write_bytes(b"stale")
    generate(out, 30_000, 1)
    assert digests(out) == fresh


@pytest.mark.parametrize(
    "files",
    [{"notes.txt": "mine"}, {"world.json": "{}"}, {"world.json": "not json"}, {"users.csv": "mine"}],
)
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = digests(tmp_path)
    with pytest.raises(ForeignFolderError, match="holds no demo world"):
        generate(tmp_path, 1000, 0)
    assert digests(tmp_path) == before


def test_a_world_with_a_strangers_file_is_refused(tmp_path):
    generate(tmp_path, 1000, 0)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ForeignFolderError, match="also thesis.txt"):
        generate(tmp_path, 1000, 0)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "world").write_text("")
    with pytest.raises(ForeignFolderError, match="is a file"):
        generate(tmp_path / "world", 1000, 0)


def test_bad_arguments_touch_nothing(tmp_path):
    with pytest.raises(ValueError, match="rows is 3"):
        generate(tmp_path / "world", 3, 0)
    assert not (tmp_path / "world").exists()


def test_importing_the_package_loads_no_arrow():
    heavy = ("pyarrow", "pandas", "tensorflow")
    code = f"import sys, pipeline.demo; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
