"""Rules for what no schema sees."""

import pyarrow as pa

from pipeline.ingest.constraints import Constraints
from pipeline.recipe.parts import Column

COLUMNS = {
    "tab": Column(type="int", values=[1, 2], min=0, required=True),
    "income": Column(type="string", known="after", values=["high", "low"], required=True),
    "paid": Column(type="float", known="after", min=0, max=10),
    "codes": Column(type="list[int]", values=[1, 2]),
    "city": Column(type="string", values=["Rome"], required=True),
}


def test_only_what_the_schema_cannot_hold_is_looked_at():
    rules = Constraints(COLUMNS, ["tab", "codes", "city"])
    assert rules.columns == {"tab", "income", "paid", "codes"}


def test_broken_rules_are_counted():
    rules = Constraints(COLUMNS, ["tab", "codes", "city"])
    assert rules(
        {
            "tab": pa.array([1, 3, None, -1]),
            "income": pa.array(["high", "middle", None, None]),
            "paid": pa.array([-1.0, 11.0, None, 10.0]),
            "codes": pa.array([[1, 3, 4], [], None, [2]], pa.list_(pa.int64())),
        }
    ) == {
        "tab is none of 1, 2": 2,
        "income is missing": 2,
        "income is none of high, low": 1,
        "paid is less than 0": 1,
        "paid is more than 10": 1,
        "codes is none of 1, 2": 1,
    }
    assert (
        rules(
            {
                "tab": pa.array([1]),
                "income": pa.array(["low"]),
                "paid": pa.array([0.0]),
                "codes": pa.array([[1]]),
            }
        )
        == {}
    )
