"""A shop's recipe with a catalog, an event log, history and a label; and logs in several forms."""

import copy
from typing import Any

import pytest
import yaml

from pipeline.recipe import Recipe, loads

SHOP: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "days/*/log.csv",
            "unique": ["id"],
            "columns": {
                "id": "int",
                "user": {"type": "int", "required": True, "min": 0},
                "item": {"type": "string", "column": "article"},
                "at": {"type": "time", "unit": "s"},
                "clicked": {"type": "int", "known": "after", "required": True},
                "unused": "string",
            },
        },
        "catalogs": {
            "items": {
                "files": "items.csv",
                "key": "item",
                "columns": {
                    "item": "string",
                    "price": {"type": "float", "max": 100},
                    "tags": {"type": "list[string]", "separator": "|"},
                },
            },
            "truth": {"files": "truth.csv", "key": "id", "columns": {"id": "int", "p": "float"}},
        },
        "events": {
            "orders": {
                "files": "orders.csv",
                "keys": ["user"],
                "time": "ordered",
                "columns": {"user": "int", "ordered": "time"},
            }
        },
    },
    "roles": {"user": "user", "item": "item", "time": "at"},
    "history": {"clicks": {"kind": "count", "by": "user", "where": "clicked == 1"}},
    "features": {
        "user": {"kind": "categorical"},
        "item": {"kind": "categorical"},
        "price": {"kind": "numeric"},
        "tags": {"kind": "categorical", "max_length": 2},
        "clicks": {"kind": "numeric"},
    },
    "tasks": {
        "click": {"kind": "binary", "label": "clicked"},
        "order": {"kind": "binary", "events": {"source": "orders", "window": "1d"}},
    },
    "splits": {"by": "time", "validation_from": "2024-03-02", "test_from": "2024-03-03"},
    "evaluation": {"references": {"click": {"truth": "p"}}},
    "dead": {"max_share": 0.5},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}
LOG = """id,article,at,user,clicked
1,a,1709251210,7,1
2,b,1709251220,7,0
3,never seen,1709251230,7,1
4,,1709251240,8,
2,b,1709251220,7,0
"""
ITEMS = "item,price,tags\na,1.5,x|y|z\nb,,\n"


@pytest.fixture(scope="session")
def shop_recipe():
    def make(change=None) -> Recipe:
        recipe = copy.deepcopy(SHOP)
        if change is not None:
            change(recipe)
        return loads(yaml.safe_dump(recipe, sort_keys=False))

    return make


@pytest.fixture
def data(tmp_path):
    """A day's log and a catalog; no events, no truth."""
    folder = tmp_path / "data"
    (folder / "days" / "1").mkdir(parents=True)
    (folder / "days" / "1" / "log.csv").write_text(LOG)
    (folder / "items.csv").write_text(ITEMS)
    return folder
