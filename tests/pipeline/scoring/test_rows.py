"""What is read of rows to be scored, whatever of the recipe's columns the files have."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.errors import DataError
from pipeline.scoring.rows import log_and_folder, rows_to_score


def reading(recipe, source):
    log, folder = log_and_folder(recipe, source, recipe.input_columns)
    return rows_to_score(recipe, log, folder, recipe.input_columns)


def test_what_a_model_does_not_take_is_left_out(shop_recipe, data):
    rows = reading(shop_recipe(), data)
    sources = rows.recipe.sources
    assert list(sources.log.columns) == ["id", "user", "item", "at", "clicked"] and not rows.missing
    assert list(sources.catalogs) == ["items"] and not sources.events and not rows.recipe.tasks
    assert list(rows.recipe.history) == ["clicks"]  # made of what is known after
    assert rows.keys == {"id": "int", "user": "int", "item": "string", "at": "time"}


def test_what_no_file_has_is_missing_and_said_why(shop_recipe, data):
    log = data / "days" / "1" / "log.csv"
    log.write_text("user,article\n7,a\n")
    (data / "items.csv").write_text("item,price\na,1\n")
    rows = reading(shop_recipe(), data)
    assert rows.missing == {
        "tags": "no file of the catalog items has it",
        "clicks": "history is made from at, clicked, which no file has",
    }
    assert rows.keys == {"user": "int", "item": "string"}
    assert rows.recipe.roles.named() == {"user": "user", "item": "item"}
    assert not rows.recipe.sources.log.unique and not rows.recipe.history
    log.write_text("user\n7\n")
    missing = reading(shop_recipe(), data).missing
    assert missing["item"] == "no file of the log has article"
    assert missing["price"] == "no file of the log has item, by which the catalog items is joined"


def test_what_the_recipe_requires_must_be_there(shop_recipe, data):
    log = data / "days" / "1" / "log.csv"
    log.write_text("article,clicked\na,1\n")
    with pytest.raises(DataError, match="the recipe requires user: no file of the log has user"):
        reading(shop_recipe(), data)
    log.write_text("other\n1\n")
    recipe = shop_recipe(lambda r: r["sources"]["log"]["columns"].update(user="int"))
    with pytest.raises(DataError, match="no column that the model takes is there; it takes user, item, "):
        reading(recipe, data)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_one_file_as_a_log_of_requests_has_catalogs_and_history_itself(shop_recipe, tmp_path, form):
    path = tmp_path / f"requests.{form}"
    lines = [{"user": 7, "article": "a", "price": 2.0}, {"user": 8, "tags": ["x"], "clicks": 3}]
    if form == "jsonl":
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        pq.write_table(pa.Table.from_pylist([lines[0] | {"tags": None, "clicks": None}, lines[1]]), path)
    rows = reading(shop_recipe(), path)
    log = rows.recipe.sources.log
    assert {n: c.type for n, c in log.columns.items()} == {
        "user": "int",
        "item": "string",
        "price": "float",
        "tags": "list[string]",
        "clicks": "int",
    }
    assert log.files == [f"requests.{form}"] and not rows.recipe.sources.catalogs
    assert not rows.recipe.history and not rows.missing


def test_one_file_finds_catalogs_above_it_as_far_as_the_recipe_has_folders(shop_recipe, data):
    (data / "days" / "2").mkdir()
    file = data / "days" / "2" / "others.csv"
    file.write_text("user,article\n7,a\n")
    recipe = shop_recipe()  # its catalog truth, which no model reads, has no files
    log, folder = log_and_folder(recipe, file, recipe.input_columns)
    assert folder == data and log.files == ["days/2/others.csv"]
    deeper = data / "days" / "2" / "x" / "others.csv"
    deeper.parent.mkdir()
    deeper.write_text(file.read_text())
    assert log_and_folder(recipe, deeper, recipe.input_columns)[1] == deeper.parent
    with pytest.raises(DataError, match="sources.catalogs.items: no file matches 'items.csv' in .*/days/2/x"):
        reading(recipe, deeper)


def test_places_of_columns_without_a_header_stay(shop_recipe, data):
    def headless(recipe):
        recipe["sources"]["log"]["header"] = False

    rows = reading(shop_recipe(headless), data)
    assert list(rows.recipe.sources.log.columns) == ["id", "user", "item", "at", "clicked", "unused"]
