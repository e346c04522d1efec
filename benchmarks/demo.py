"""How much of what can be known of the demo's world a model learns, with and without interaction terms.

Per task, on the world's last day: AUC of item popularity (the item's smoothed rate on the training days), of
`mtl_models` with and without interactions, and of the true propensities; and the share of the gap between
the first and the last that a model closes. Run as `python benchmarks/demo.py [--rows N] [--seeds 0 1 2]`.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipeline.demo import generate
from pipeline.demo.orders import WINDOW_MS
from pipeline.evaluation.auc import auc

EXPECTED = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
SETTINGS = EXPECTED["settings"]
TASKS = ("click", "like", "purchase")
TRAIN_DAYS, POPULARITY_PRIOR = 8, 20.0


def read_catalog(path: Path) -> dict[str, np.ndarray]:
    """Columns of a CSV catalog, str [rows] each."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def ids(values: np.ndarray) -> np.ndarray:
    """Int64 ids counted from 0; -1 where a value is missing."""
    names, codes = np.unique(values, return_inverse=True)
    first = int(names[0] == "")
    return codes.astype(np.int64) - first


def scaled(values: np.ndarray, log: bool) -> np.ndarray:
    """Standardised float32 numbers, 0 where a value is missing."""
    number = np.array([float(value) if value else np.nan for value in values])
    number = np.log(number) if log else number
    return np.nan_to_num((number - np.nanmean(number)) / np.nanstd(number)).astype(np.float32)


def lists(values: np.ndarray) -> np.ndarray:
    """Int64 [rows, longest] ids of `a|b` lists, -1 where there is no value."""
    names = sorted({name for value in values for name in value.split("|") if name})
    code = {name: i for i, name in enumerate(names)}
    parts = [[code[name] for name in value.split("|") if name] for value in values]
    return np.array([part + [-1] * (max(map(len, parts)) - len(part)) for part in parts], np.int64)


def load(world: Path) -> dict:
    """Features, labels, weights, true chances and day of every impression."""
    days = sorted(path.name for path in (world / "impressions").iterdir())
    logs = [pq.read_table(world / "impressions" / day) for day in days]
    truths = [pq.read_table(world / "propensities" / day) for day in days]

    def column(tables, name):
        return np.concatenate([table[name].to_numpy() for table in tables])

    context = ("device", "surface", "hour", "position")
    features = {name: ids(column(logs, name).astype(str)) for name in context}
    catalogs = {"user_id": read_catalog(world / "users.csv"), "item_id": read_catalog(world / "items.csv")}
    for key, catalog in catalogs.items():
        row = np.searchsorted(catalog[key], column(logs, key).astype(str))
        for name in SETTINGS["categorical"][key]:
            features[name] = ids(catalog[name])[row]
        for name in SETTINGS["numbers"][key]:
            features[name] = scaled(catalog[name], log=name != "age")[row]
        if key == "user_id":
            features["interests"] = lists(catalog["interests"])[row]
    click = column(logs, "click").astype(np.float32)
    bought, known = purchases(
        world, column(logs, "request_id"), column(logs, "item_id"), column(logs, "timestamp")
    )
    return {
        "features": features,
        "labels": {"click": click, "like": column(logs, "like").astype(np.float32), "purchase": bought},
        "weights": {"click": np.ones_like(click), "like": np.ones_like(click), "purchase": click * known},
        "chances": {task: column(truths, f"p_{task}") for task in TASKS},
        "day": np.repeat(np.arange(len(days)), [len(log) for log in logs]),
    }


def purchases(
    world: Path, request: np.ndarray, item: np.ndarray, time_ms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Float32 [rows]: whether an impression was bought, and whether its window for that is over."""
    orders = pq.read_table(world / "orders", filters=[("event", "==", "purchase")]).to_pandas()
    bought = pd.MultiIndex.from_arrays([request, item]).isin(
        pd.MultiIndex.from_frame(orders[["request_id", "item_id"]])
    )
    until = datetime.fromisoformat(json.loads((world / "world.json").read_text())["orders_until"])
    known = time_ms + WINDOW_MS <= until.timestamp() * 1000
    return bought.astype(np.float32), known.astype(np.float32)


def popularity(data: dict, task: str) -> np.ndarray:
    """Smoothed rate of each row's item on the training days."""
    train = data["weights"][task] * (data["day"] < TRAIN_DAYS)
    item = data["features"]["item_id"]
    rate = data["labels"][task] @ train / train.sum()
    hits = np.bincount(item, data["labels"][task] * train)
    return ((hits + POPULARITY_PRIOR * rate) / (np.bincount(item, train) + POPULARITY_PRIOR))[item]


def train_model(data: dict, interactions: list | None, seed: int):
    """A trained model at its best validation epoch, and the training's history."""
    import keras

    import mtl_models as m

    features, day = data["features"], data["day"]
    numbers = [name for names in SETTINGS["numbers"].values() for name in names]
    categorical = {
        name: (int(values.max()) + 1, values.shape[1]) if values.ndim == 2 else int(values.max()) + 1
        for name, values in features.items()
        if name not in numbers
    }
    day_weights = {task: data["weights"][task] * (day < TRAIN_DAYS) for task in TASKS}
    binary = [
        m.Task(task, "binary", offset=float(np.average(data["labels"][task], weights=day_weights[task])))
        for task in TASKS
    ]
    layout = m.Layout.of(categorical, numbers)
    model = m.MultiTaskModel(
        layout, binary, m.MMoE(**SETTINGS["mmoe"]), interactions=interactions, seed=seed, **SETTINGS["model"]
    )
    model.compile(
        keras.optimizers.Adam(SETTINGS["learning_rate"]),
        m.RowAdagrad(SETTINGS["embedding_learning_rate"]),
        steps_per_execution=16,
    )

    def rows(chosen):
        parts = (data["features"], data["labels"], data["weights"])
        return tuple({name: values[chosen] for name, values in part.items()} for part in parts)

    recorder = m.EpochRecorder(
        rows(day == TRAIN_DAYS), m.Objective(SETTINGS["objective"]), patience=SETTINGS["patience"]
    )
    x, y, weight = rows(day < TRAIN_DAYS)
    keras.utils.set_random_seed(seed)
    model.fit(
        m.array_batches((layout.pack(x), y, weight), SETTINGS["batch_size"], seed),
        epochs=SETTINGS["epochs"],
        callbacks=[recorder],
        verbose=0,
    )
    return model, recorder


def measure(data: dict, seed: int) -> dict[str, dict[str, float]]:
    """Per task: AUC of popularity, of the models and of the truth on the last day."""
    test = data["day"] > TRAIN_DAYS
    scores = {
        task: {"popularity": popularity(data, task), "ceiling": data["chances"][task]} for task in TASKS
    }
    for name, pairs in (("with", SETTINGS["interactions"]), ("without", None)):
        started = time.perf_counter()
        model, recorder = train_model(data, pairs, seed)
        predicted = model.predict(model.layout.pack(data["features"]), batch_size=8192, verbose=0)
        curve = [round(entry["objective"], 4) for entry in recorder.history]
        print(
            f"  {name} interactions: {time.perf_counter() - started:.0f} s, best epoch "
            f"{recorder.best_epoch}, objective {curve}",
            flush=True,
        )
        for task in TASKS:
            scores[task][name] = predicted[task]
    result = {}
    for task in TASKS:
        known = test & (data["weights"][task] > 0)
        area = {name: auc(data["labels"][task][known], score[known]) for name, score in scores[task].items()}
        gap = area["ceiling"] - area["popularity"]
        result[task] = area | {
            f"closed_{name}": (area[name] - area["popularity"]) / gap for name in ("with", "without")
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=SETTINGS["rows"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    failures = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder) / "world", arguments.rows, seed)
            data = load(Path(folder) / "world")
        print(f"seed {seed}, {arguments.rows} rows")
        for task, values in measure(data, seed).items():
            line = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            print(f"  {task:9s}{line}", flush=True)
            for name, bounds in EXPECTED["expected"].get(task, {}).items():
                low, high = bounds
                if not low <= values[name] <= high:
                    failures.append(
                        f"seed {seed}: {task} {name} is {values[name]:.3f}, outside {low}..{high}"
                    )
    print("\n".join(failures) or "all within what was expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
