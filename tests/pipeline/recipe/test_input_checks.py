"""What a recipe may not say of the inputs."""

import copy

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
                "place": "int",
                "price": "float",
                "at": "time",
                "clicked": {"type": "int", "known": "after"},
                "kind": {"type": "int", "known": "after"},
            },
        }
    },
    "roles": {"user": "user", "time": "at"},
    "history": {"last": {"kind": "last", "by": "user", "of": "item", "n": 5}},
    "features": {
        "item": {"kind": "categorical"},
        "last": {"kind": "categorical", "shares": "item"},
        "place": {"kind": "categorical"},
        "price": {"kind": "numeric"},
    },
    "tasks": {
        "click": {"kind": "binary", "label": "clicked"},
        "sort": {"kind": "multiclass", "label": "kind", "classes": [0, 1, 2]},
    },
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}


def load(**settings):
    recipe = copy.deepcopy(RECIPE)
    recipe["model"].update(settings)
    return loads(yaml.safe_dump(recipe, sort_keys=False))


def test_all_of_it_together_is_right():
    model = load(
        pooling="sqrtn",
        attention=[["last", "item"]],
        numeric_embedding="periodic",
        position="place",
        position_tasks=["click"],
        scenario=["item"],
        personal=["item"],
        id_dropout=0.1,
    ).model
    assert model.position_tasks == ("click",) and model.attention == [["last", "item"]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pooling": "max"}, "model.pooling .*is one of mean, sum, sqrtn"),
        ({"numeric_embedding": "period"}, "model.numeric_embedding .*did you mean 'periodic'"),
        ({"attention": [["item", "last"]]}, "'item' is not a categorical feature with a list"),
        ({"attention": [["last", "price"]]}, "'price' is not a feature with one embedding"),
        ({"attention": [["last", "item"], ["last", "place"]]}, "'last' has a target already"),
        ({"attention": [["last"]]}, "must be a pair"),
        ({"vector_units": 0}, r"1 problem\n.*model.vector_units \(.*greater than or equal to 1"),
        ({"vector_units": {"look": 0}}, r"1 problem\n.*model.vector_units.look \(.*than or equal to 1"),
        ({"vector_units": {"look": 8}}, r"vector_units.look .*'look' is not a vision, text, precomputed or"),
        ({"vector_dropout": {"look": 1}}, r"1 problem\n.*model.vector_dropout.look \(.*or equal to 0.99"),
        ({"scenario": ["last"]}, "scenario.0 .*'last' is not a feature with one embedding"),
        ({"personal": ["usr"]}, "'usr' is not a feature"),
        ({"position": "place"}, "position_tasks.*must name the tasks"),
        ({"position_tasks": ["click"]}, "position_tasks.*needs model.position"),
        ({"position": "place", "position_tasks": ["clik"]}, "is not a task; did you mean 'click'"),
        ({"position": "place", "position_tasks": ["sort"]}, "sort is multiclass"),
        (
            {"position": "place", "position_tasks": ["click"], "scenario": ["place"]},
            "model.scenario.*names place, which is the position",
        ),
        (
            {"position": "place", "position_tasks": ["click"], "interactions": [["place", "item"]]},
            "model.interactions.*names place, which is the position",
        ),
    ],
)
def test_mistakes(settings, words):
    with pytest.raises(RecipeError, match=words):
        load(**settings)


def test_id_dropout_needs_a_vocabulary():
    recipe = copy.deepcopy(RECIPE)
    recipe["features"] = {"item": {"kind": "categorical", "hash_buckets": 9}}
    recipe["model"]["id_dropout"] = 0.1
    with pytest.raises(RecipeError, match="hashes and buckets have no unknown row"):
        loads(yaml.safe_dump(recipe, sort_keys=False))
