"""What a recipe may not do with private columns, and the key that they need."""

import copy

import pytest
import yaml

from pipeline.plan import make_plan
from pipeline.private import key_id, private_columns
from pipeline.recipe import RecipeError, loads
from serving.private import VARIABLE

KEY = "0123456789abcdef0123456789abcdef"
ID = {"type": "int", "private": True}
RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log.csv",
            "columns": {
                "user": ID,
                "session": {"type": "string", "private": True},
                "item": "int",
                "at": "time",
                "clicked": {"type": "int", "known": "after"},
                "buyer": ID | {"known": "after"},
            },
        },
        "catalogs": {"users": {"files": "users.csv", "key": "user", "columns": {"user": ID, "age": "int"}}},
        "events": {
            "sales": {
                "files": "sales.csv",
                "keys": ["user", "item"],
                "time": "sold_at",
                "columns": {"user": ID, "item": "int", "sold_at": "time", "seller": ID},
            }
        },
    },
    "roles": {"user": "user", "item": "item", "request": "session", "time": "at"},
    "history": {"users": {"kind": "last", "by": "item", "of": "user", "n": 3}},
    "features": {
        "user": {"kind": "categorical"},
        "users": {"kind": "categorical", "shares": "user"},
        "session": {"kind": "categorical", "hash_buckets": 100},
        "age": {"kind": "numeric"},
    },
    "tasks": {
        "click": {"kind": "binary", "label": "clicked"},
        "buy": {"kind": "binary", "events": {"source": "sales", "window": "1h"}},
    },
    "splits": {"by": "hash", "of": "user", "validation": 0.2, "test": 0.2},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
    "evaluation": {"slices": ["user"]},
}


def changed(**changes):
    recipe = copy.deepcopy(RECIPE)
    for path, value in changes.items():
        part = recipe
        *above, last = path.split("__")
        for name in above:
            part = part.setdefault(name, {})
        part[last] = value
    return loads(yaml.safe_dump(recipe, sort_keys=False))


def test_ids_may_be_joined_counted_looked_up_and_split_by():
    recipe = changed()
    assert private_columns(recipe) == [
        "sources.log.columns.user",
        "sources.log.columns.session",
        "sources.log.columns.buyer",
        "sources.catalogs.users.columns.user",
        "sources.events.sales.columns.user",
        "sources.events.sales.columns.seller",
    ]
    assert recipe.columns["users"].private and not recipe.columns["age"].private


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources__log__columns__at": {"type": "time", "private": True}}, "private hashes ids"),
        ({"sources__log__columns__user": ID | {"max": 5}}, "max bounds what a hash takes the place of"),
        (
            {"sources__log__columns__user": ID | {"values": [5]}},
            "values bounds what a hash takes the place of",
        ),
        ({"sources__log__columns__user": "int"}, "user must be `private: true` too, as it is joined"),
        (
            {"sources__catalogs__users__columns__user": "int"},
            "user must be `private: true` too, as it is joined",
        ),
        (
            {"sources__events__sales__columns__user": "int"},
            "user must be .* as it is on the join's other side",
        ),
        ({"sources__log__columns__item": ID}, "sales.columns.item.* item must be `private: true` too"),
        (
            {"tasks__click__label": "buyer > 5"},
            "tasks.click.label.* buyer is private: nothing can be computed",
        ),
        ({"tasks__click__where": "session == 'a'"}, "tasks.click.where.* session is private"),
        ({"tasks__buy__events__where": "seller == 5"}, "tasks.buy.events.where.* seller is private"),
        ({"derived__odd": "user % 2"}, "derived.odd.* user is private"),
        ({"history__n": {"kind": "rate", "by": "user", "of": "user == 3"}}, "history.n.of.* user is private"),
        (
            {"history__n": {"kind": "count", "by": "user", "where": "user == 3"}},
            "history.n.where.* user is private",
        ),
        (
            {"evaluation__references": {"click": {"other": "user * 1.0"}}},
            "references.click.other.* user is private",
        ),
        (
            {"features__user": {"kind": "numeric"}, "features__users": {"kind": "categorical"}},
            "say categorical",
        ),
        ({"features__item": {"kind": "categorical", "shares": "user"}}, "of item and user one is private"),
        (
            {"features__v": {"kind": "precomputed", "files": "v.parquet", "on": "user"}},
            "tables of vectors are found by their key as it is",
        ),
        (
            {"gates": [{"task": "click", "metric": "auc", "lower": 0.5, "slice": "user=5"}]},
            "its values are hashes",
        ),
    ],
)
def test_nothing_else_may_be_done_with_them(changes, said):
    with pytest.raises(RecipeError, match=said):
        changed(**changes)


def test_a_key_is_needed_before_anything_starts(tmp_path, monkeypatch):
    from pipeline.run import run

    monkeypatch.delenv(VARIABLE, raising=False)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    with pytest.raises(
        RecipeError, match=r"sources.log.columns.user: is private, and the environment variable MTL"
    ):
        run(file, tmp_path, tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_another_key_makes_everything_anew(tmp_path, monkeypatch):
    for name, line in (("log", "1,a,2,3,1"), ("users", "1,2"), ("sales", "1,2,3,4")):
        (tmp_path / f"{name}.csv").write_text(line)
    recipe, plans = changed(), {}
    for key in (KEY, KEY, KEY[::-1]):
        monkeypatch.setenv(VARIABLE, key)
        plan = make_plan(recipe, tmp_path / "recipe.yaml", tmp_path, tmp_path / "output", "run")
        plans.setdefault(plan.content, set()).add(plan.fingerprint())
        assert key not in str(plan)
    assert len(plans) == 2 and all(len(prints) == 1 for prints in plans.values())
    assert key_id(recipe, tmp_path / "recipe.yaml") not in KEY
