"""What a recipe may not say of catalogs and roles."""

import pytest
import yaml

from pipeline.recipe import RecipeError, loads

RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log.csv",
            "columns": {
                "user": "int",
                "item": "string",
                "price": "float",
                "tags": {"type": "list[int]", "separator": " ", "max_length": 3},
                "at": "time",
                "clicked": {"type": "int", "known": "after"},
                "bought": {"type": "string", "known": "after"},
            },
        }
    },
    "roles": {"user": "user", "time": "at"},
    "history": {"seen": {"kind": "count", "by": "user"}},
    "features": {"user": {"kind": "categorical"}},
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}


def load(catalog=None, **parts):
    recipe = {**RECIPE, **parts}
    if catalog is not None:
        recipe["sources"] = {**recipe["sources"], "catalogs": {"items": {"files": "items.csv", **catalog}}}
    return loads(yaml.safe_dump(recipe, sort_keys=False))


@pytest.mark.parametrize(
    ("key", "kind"), [("price", "float"), ("tags", {"type": "list[int]", "separator": " ", "max_length": 3})]
)
def test_a_catalog_is_joined_by_what_identifies_its_rows(key, kind):
    with pytest.raises(RecipeError, match="identifies nothing: it is (float|list.int.); use int, string, ti"):
        load({"key": key, "columns": {key: kind, "colour": "string"}})


def test_what_is_found_by_a_column_known_after_is_known_after():
    columns = {"product": "string", "colour": "string"}
    with pytest.raises(
        RecipeError, match="items.columns.colour.* is found by bought, which is known only aft"
    ):
        load({"key": "product", "on": "bought", "columns": columns})
    after = {"product": "string", "colour": {"type": "string", "known": "after"}}
    assert "colour" not in load({"key": "product", "on": "bought", "columns": after}).example_columns


def test_a_catalog_cannot_give_the_time_by_which_it_is_joined():
    log = {k: v for k, v in RECIPE["sources"]["log"]["columns"].items() if k != "at"}
    with pytest.raises(RecipeError, match="catalogs.items.time.* needs roles.time, a column of the log"):
        load(
            {"key": "item", "time": "at", "columns": {"item": "string", "at": "time"}},
            sources={"log": {"files": "log.csv", "columns": log}},
        )


def test_history_plays_no_role():
    with pytest.raises(RecipeError, match="roles.scenario.* is made from history; a role is a column of a"):
        load(roles={"time": "at", "scenario": "seen"})


def test_features_that_share_rows():
    history = {"last_items": {"kind": "last", "by": "user", "of": "item", "n": 5}}
    features = {
        "item": {"kind": "categorical", "min_count": 2},
        "last_items": {"kind": "categorical", "shares": "item"},
    }
    assert load(history=history, features=features).features["last_items"].shares == "item"

    def shares(owner, **more):
        changed = {**features, "last_items": {"kind": "categorical", "shares": owner, **more}}
        changed["user"] = {"kind": "categorical"}
        changed["other"] = {"kind": "categorical", "column": "item", "shares": "item"}
        changed["price"] = {"kind": "numeric"}
        return lambda: load(history=history, features=changed)

    for make, words in [
        (shares("itm"), "last_items.shares .*: is no other categorical feature; did you mean 'item'"),
        (shares("last_items"), "is no other categorical feature"),
        (shares("price"), "is no other categorical feature"),
        (shares("other"), "other itself shares the rows of item; name that one"),
        (shares("user"), "has values of type int, and last_items of type string"),
        (shares("item", hash_buckets=9), "shares takes the rows of item; leave out hash_buckets"),
    ]:
        with pytest.raises(RecipeError, match=words):
            make()


BUY = {"kind": "binary", "label": "bought != ''"}
SPEND = {"kind": "regression", "label": "clicked"}


@pytest.mark.parametrize(
    ("chain", "tasks", "message"),
    [
        ([], {}, "at least two tasks"),
        (["click", "buy"], {"spend": SPEND}, "chain.buy.* is not a task"),
        (["click", "click"], {"buy": BUY}, "names click twice"),
        (["click", "spend"], {"spend": SPEND}, "binary tasks; spend is regression"),
        ([], {"buy": BUY, "spend": SPEND}, "spend is regression, and a chain that is left out is all tasks"),
    ],
)
def test_a_chain_names_binary_tasks(chain, tasks, message):
    with pytest.raises(RecipeError, match=message):
        load(tasks={**RECIPE["tasks"], **tasks}, model={"architecture": {"name": "esmm", "chain": chain}})


def test_a_chain_beside_other_tasks():
    tasks = {**RECIPE["tasks"], "buy": BUY, "spend": SPEND}
    chain = ("click", "buy")
    loaded = load(tasks=tasks, model={"architecture": {"name": "esmm", "chain": list(chain)}})
    assert loaded.model.architecture.chain == chain


ITEMS = {"key": "item", "columns": {"item": "string", "colour": "string"}}
ENCODERS = {"photos": {"uri": "builtin:efficientnet_lite0"}, "own": {"uri": "encoders/own", "dimension": 8}}
PHOTO = {"kind": "vision", "catalog": "items", "columns": "photo", "encoder": "photos"}


def with_features(catalog=ITEMS, **features):
    return load(catalog, encoders=ENCODERS, features={"user": {"kind": "categorical"}, **features})


def test_the_model_takes_the_key_of_vectors_that_it_holds():
    given = {"kind": "precomputed", "files": "vectors/*.parquet", "on": "user"}
    words = {"kind": "text", "catalog": "items", "columns": ["title", "blurb"], "encoder": "own"}
    recipe = with_features(photo=PHOTO, words=words, given=given)
    assert recipe.keyed_vectors == ["photo", "words", "given"]
    assert set(recipe.input_columns) == {"user", "item"}
    assert "photo" not in recipe.example_columns


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (PHOTO | {"catalog": "item"}, r"photo.catalog.* is none of sources.catalogs; did you mean 'items'\?"),
        (PHOTO | {"encoder": "photo"}, r"photo.encoder.* is none of `encoders`; did you mean 'photos'\?"),
        (PHOTO | {"kind": "text"}, "photo.encoder.* reads images; text needs one that reads texts"),
        ({"kind": "precomputed", "files": "v.parquet", "on": "itm"}, r"photo.on.* did you mean 'item'\?"),
        ({"kind": "precomputed", "files": "v.parquet", "on": "price"}, "photo.on.* int or string; it is fl"),
        ({"kind": "precomputed", "files": "v.parquet", "on": "bought"}, "photo.on.* known only after"),
    ],
)
def test_where_vectors_cannot_come_from(feature, message):
    with pytest.raises(RecipeError, match=message):
        with_features(photo=feature)


def test_vectors_are_not_of_rows_that_change_in_time():
    changing = ITEMS | {"time": "since", "columns": {**ITEMS["columns"], "since": "time"}}
    with pytest.raises(RecipeError, match="photo.catalog.* has rows that change in time"):
        with_features(changing, photo=PHOTO)


def test_a_vector_may_be_in_an_interaction_and_other_features_may_not():
    architecture = {"name": "hard_sharing"}
    features = {"user": {"kind": "categorical"}, "photo": PHOTO, "price": {"kind": "numeric"}}

    def interacting(name):
        model = {"architecture": architecture, "interactions": [["user", name]]}
        return load(ITEMS, encoders=ENCODERS, features=features, model=model)

    assert interacting("photo").model.interactions
    with pytest.raises(RecipeError, match="'price' is not a feature with an embedding or vector"):
        interacting("price")


@pytest.mark.parametrize(
    "training, message",
    [
        (
            {"distribution": "mirrored", "jit_compile": True},
            "steps of distribution mirrored are not compiled",
        ),
        (
            {"distribution": "multi_worker", "precision": "mixed_float16"},
            "losses are not scaled with distribution multi_worker; mixed_bfloat16 needs",
        ),
        ({"distribution": "horovod"}, "training.distribution"),
    ],
)
def test_what_replicas_cannot_train(training, message):
    with pytest.raises(RecipeError, match=message):
        load(training=training)
    assert load(training={"distribution": "mirrored"}).training.distribution == "mirrored"
