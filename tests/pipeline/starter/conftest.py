"""Tables written to files, and what `start` makes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.starter.start import Start, start

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def begin(tmp_path):
    """Writes frames as `<name>.csv` and starts a recipe from their folder."""

    def run(**frames: pd.DataFrame) -> Start:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
        return start([str(folder)], tmp_path / "recipe.yaml")

    return run


@pytest.fixture(scope="session")
def campaign() -> pd.DataFrame:
    """The funnel of benchmarks/funnel.py."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from funnel import funnel
    finally:
        sys.path.pop(0)
    return funnel(20_000, seed=3).to_pandas()


@pytest.fixture(scope="session")
def shop() -> dict[str, pd.DataFrame]:
    """A shop's log of 12 days, its users and products, and its orders, hours after the click."""
    random = np.random.default_rng(5)
    rows, users, items = 20_000, 300, 80
    taste, price = random.normal(0, 1, users), np.round(np.exp(random.normal(3, 1, items)), 2)
    log = pd.DataFrame(
        {
            "request_id": np.arange(rows) // 5,
            "customer_id": np.repeat(random.integers(0, users, rows // 5), 5),
            "product_id": (np.repeat(random.integers(0, items, rows // 5), 5) + 7 * (np.arange(rows) % 5))
            % items,
            "slot": np.arange(rows) % 5 + 1,
            "page": np.repeat(random.choice(["home", "search"], rows // 5), 5),
            "ts": np.repeat(np.sort(random.integers(1_700_000_000, 1_701_000_000, rows // 5)), 5),
        }
    )
    log["price"] = price[log.product_id]
    log["clicked"] = (random.random(rows) < 1 / (1 + np.exp(1.5 - taste[log.customer_id]))).astype(int)
    customers = pd.DataFrame(
        {
            "customer_id": np.arange(users),
            "country": random.choice(["fr", "de", "NA"], users),
            "joined": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, users), "D"),
        }
    )
    products = pd.DataFrame(
        {
            "id": np.arange(items),
            "tags": ["|".join(random.choice(list("abcdef"), random.integers(1, 4))) for _ in range(items)],
        }
    )
    bought = log[(log.clicked == 1) & (random.random(rows) < 0.3)]
    orders = bought[["request_id", "customer_id", "product_id"]].copy()
    orders["order_id"] = np.arange(len(bought)) + 10_000
    orders["ordered_at"] = bought.ts + random.integers(600, 40_000, len(bought))
    orders["amount"] = np.round(price[bought.product_id] * random.uniform(0.8, 1, len(bought)), 2)
    return {"log": log, "customers": customers, "products": products, "orders": orders}
