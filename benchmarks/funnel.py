"""A shop's mail campaign as one table: visit, then conversion, then spend, after a randomised treatment.

    python benchmarks/funnel.py --out funnel [--rows 64000] [--seed 1]

For a first try of `mtl recipe init` on a table that none of the recipes here knows. In form it is like the
tables of uplift modelling (Hillstrom's e-mail challenge): a customer a row, no time, no item, most outcomes
0. What decides a visit are products of columns, not columns alone. `days_since_order` was exported after
the campaign, as happens, and gives conversions away.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

SEGMENTS = ("no_mail", "garden_mail", "kitchen_mail")
CHANNELS = ("web", "phone", "shop")
REGIONS = ("coast", "plain", "hills", "city")


def funnel(rows: int = 64_000, seed: int = 1) -> pa.Table:
    """The table: attributes of customers, `segment` drawn at random, and what followed.

    `conversion` is 1 only where `visit` is, and `spend` is above 0 exactly where `conversion` is 1.
    """
    random = np.random.default_rng(seed)
    recency = np.minimum(1 + random.exponential(4.5, rows).astype(int), 24)
    history = np.round(np.exp(random.normal(4.6, 1.1, rows)), 2)
    garden = random.random(rows) < 0.55
    kitchen = ~garden | (random.random(rows) < 0.35)
    newbie = random.random(rows) < np.where(recency < 6, 0.6, 0.35)
    age = np.clip(random.normal(47, 15, rows), 18, 90).astype(int)
    # the young buy by web and live in the city more often than the old
    young = _logistic((45 - age) / 12)
    visits = random.poisson(np.exp(0.9 * young + 0.9 * (random.random(rows) < 0.3)))
    channel = np.where(random.random(rows) < 0.25 + 0.5 * young, 0, np.where(random.random(rows) < 0.6, 1, 2))
    region = np.where(random.random(rows) < 0.1 + 0.3 * young, 3, random.choice(3, rows, p=(0.4, 0.4, 0.2)))
    segment = random.integers(0, len(SEGMENTS), rows)

    fits = ((segment == 1) & garden) | ((segment == 2) & kitchen)
    web = channel == 0
    interest = (
        -2.6
        + 0.9 * fits * (1 + 0.5 * web)
        + 0.25 * (segment > 0)
        + 0.35 * np.log1p(visits) * (1 + web)
        - 0.08 * recency * (1 + 0.6 * newbie)
        + 0.9 * ((region == 3) & (age < 40))
        - 0.6 * ((region == 2) & (age > 55))
    )
    visit = random.random(rows) < _logistic(interest)
    wish = -2.3 + 0.8 * fits + 0.45 * (np.log(history) - 4.6) * (1 + ~newbie) + 0.5 * (channel == 1)
    conversion = visit & (random.random(rows) < _logistic(wish))
    basket = np.exp(
        3.4
        + 0.35 * (np.log(history) - 4.6)
        + 0.4 * fits
        + 0.25 * (region == 3)
        + random.normal(0, 0.45, rows)
    )
    spend = np.where(conversion, np.round(basket, 2), 0.0)
    seen = np.round(np.exp(random.normal(4.2, 0.8, rows) + 0.7 * conversion), 1)
    ordered = np.where(
        conversion, random.integers(0, 14, rows), 14 + recency * 30 + random.integers(0, 30, rows)
    )
    return pa.table(
        {
            "recency_months": recency,
            "history": history,
            "garden": garden.astype(int),
            "kitchen": kitchen.astype(int),
            "newbie": newbie.astype(int),
            "web_visits_90d": visits,
            "age": np.where(random.random(rows) < 0.06, "NA", age.astype(str)),
            "region": pa.array(REGIONS).take(pa.array(region)),
            "channel": pa.array(CHANNELS).take(pa.array(channel)),
            "days_since_order": ordered,
            "segment": pa.array(SEGMENTS).take(pa.array(segment)),
            "visit": visit.astype(int),
            "visit_seconds": pa.array(seen, mask=~visit),
            "conversion": conversion.astype(int),
            "spend": spend,
        }
    )


def _logistic(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def main() -> None:
    """Writes OUT/campaign.csv."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--rows", type=int, default=64_000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    table = funnel(given.rows, given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    pa.csv.write_csv(table, given.out / "campaign.csv", pa.csv.WriteOptions(quoting_style="needed"))
    print(f"{given.out / 'campaign.csv'}: {table.num_rows:,} rows, {table.num_columns} columns")


if __name__ == "__main__":
    main()
