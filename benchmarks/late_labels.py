"""By how much a task with late labels is flattered by rows that the other tasks were trained on.

    python benchmarks/late_labels.py [--rows N] [--seeds N] [--output FOLDER]

A purchase has its label four days after its impression, so the run of a day judges it on the day four days
before, whose purchases are kept from training and whose clicks are not (docs/design.md, "Tasks whose labels
are late"). Here the demo's model is trained as that run would: on a week, purchases of its last four days
unknown. The requests of the judged day are cut into two halves at random; one model is trained on the rows of
the one half beside the six other days, one on those of the other, and both are measured on both. So rows are
compared with themselves, by a model that had their clicks and by one that had as many of the same day:
`flattered` is the mean difference. Beside it stands what a model loses without any row of that day, which is
what it costs to hold them out of all tasks.

`purchase` is asked of clicked rows alone, as in the recipe; `bought` of all, where a click that was learned
by heart would tell most. Of AUC more is better, of log loss less. What is in OUTPUT is not made again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from runs import RECIPES, shown

from mtl_models.training import metrics
from pipeline import trainer, vocabulary
from pipeline.demo import generate
from pipeline.examples import serialized_batches
from pipeline.recipe import Recipe, load

LATE = ("purchase", "bought")
BOUGHT = "tasks.bought={kind: binary, events: {source: orders, where: event == 'purchase', window: 4d}}"
DAY_MS = 86_400_000
JUDGED, LAST = 5, 8  # days of the log, from 0: the run is of the day after LAST
WINDOW, TAIL = 7, 0.1
WAYS = ("first", "second", "all", "none")


def all_rows(recipe: Recipe, folder: Path) -> tuple[dict, dict, dict, dict]:
    """Every row of a run, transformed: inputs, labels, masks by task, and `day`, `request` and `time`."""
    import tensorflow_transform as tft

    transform = tft.TFTransformOutput(str(folder / "transform_graph"))
    layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()
    parts = []
    for split in ("train", "validation", "test"):
        for serialized in serialized_batches(folder / "examples", split):
            raw = tf.io.parse_example(serialized, spec)
            made = {n: v.numpy() for n, v in layer(raw).items()}
            told = {"time": recipe.roles.time, "request": recipe.roles.request}
            parts.append(made | {n: tf.sparse.to_dense(raw[c]).numpy()[:, 0] for n, c in told.items()})
    whole = {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}
    rows = {n: whole.pop(n) for n in ("time", "request")}
    rows["day"] = (rows["time"] - rows["time"].min() // DAY_MS * DAY_MS) // DAY_MS
    labels, masks = ({t: whole[f"{t}/{part}"] for t in recipe.tasks} for part in ("label", "mask"))
    return {n: v for n, v in whole.items() if "/" not in n}, labels, masks, rows


def tail_of(rows: dict, day: int) -> np.ndarray:
    """The last rows of a day, which the run of the next stops by."""
    of = rows["day"] == day
    return of & (rows["time"] > np.quantile(rows["time"][of], 1 - TAIL))


def scores(recipe: Recipe, folder: Path, data: tuple, way: str, second: np.ndarray, seed: int, logs: Path):
    """Trains one model; its scores of the judged day's rows."""
    inputs, labels, masks, rows = data
    day, judged = rows["day"], rows["day"] == JUDGED
    exposed = judged & {"first": ~second, "second": second, "all": True, "none": False}[way]
    trained = (day > LAST - WINDOW) & (day <= LAST) & ~tail_of(rows, LAST) & (~judged | exposed)
    early = tail_of(rows, JUDGED - 1)

    def split(taken: np.ndarray, known: dict[str, np.ndarray]) -> tuple[dict, dict, dict, dict]:
        seen = {t: np.where(known[t], m, 0).astype(np.float32)[taken] for t, m in masks.items()}
        return {n: v[taken] for n, v in inputs.items()}, {t: v[taken] for t, v in labels.items()}, seen, seen

    others = np.ones(len(day), bool)
    train = split(trained, {t: (day < JUDGED) & ~early if t in LATE else others for t in masks})
    validation = split(
        tail_of(rows, LAST) | early, {t: early if t in LATE else tail_of(rows, LAST) for t in masks}
    )
    keras.utils.set_random_seed(seed)
    layout = vocabulary.read_layout(folder / "transform_graph")
    seeded = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    model, _ = trainer.fit(seeded, layout, train, validation, logs, show=lambda at: None)
    found = model.predict({n: v[judged] for n, v in inputs.items()}, batch_size=8192, verbose=0)
    return {t: np.asarray(found[t]).reshape(-1) for t in LATE}


def measured(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    p = np.clip(score, 1e-7, 1 - 1e-7)
    loss = -np.mean(label * np.log(p) + (1 - label) * np.log1p(-p))
    return {"auc": metrics.auc(label, score), "log loss": float(loss)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--output", type=Path, default=Path("output/late-labels"))
    given = arguments.parse_args()
    output, world = given.output.resolve(), given.output.resolve() / "world"
    folder = output / "demo" / "latest"
    if not folder.exists():
        generate(world, given.rows, 1)
        recipe_file = shutil.copy(RECIPES / "demo/recipe.yaml", output)  # away from a schema without `bought`
        command = [sys.executable, "-m", "pipeline", "run", recipe_file, "--input", world, "--output", output]
        for setting in (BOUGHT, "training.epochs=1", "gates=none"):
            command += ["--set", setting]
        subprocess.run(command, check=True)
    recipe = load(RECIPES / "demo" / "recipe.yaml", (BOUGHT,))
    data = all_rows(recipe, folder)
    _, labels, masks, rows = data
    judged = rows["day"] == JUDGED
    differences: dict[tuple[str, str, str], list[float]] = {}
    for seed in range(1, given.seeds + 1):
        coin = np.random.default_rng(seed).random(int(rows["request"].max()) + 1) < 0.5
        second = judged & coin[rows["request"]]
        first, found = judged & ~second, {}
        for way in WAYS:
            kept = output / f"seed-{seed}-{way}.npz"
            if not kept.exists():
                np.savez(kept, **scores(recipe, folder, data, way, second, seed, output / "logs"))
            found[way] = dict(np.load(kept))
        for task in LATE:

            def of(way: str, where: np.ndarray, task: str = task, found: dict = found) -> dict[str, float]:
                taken = (where & (masks[task] > 0))[judged]
                return measured(labels[task][judged][taken], found[way][task][taken])

            own = [(of("first", first), of("second", first)), (of("second", second), of("first", second))]
            for metric in ("auc", "log loss"):
                add = {
                    "flattered": float(np.mean([a[metric] - b[metric] for a, b in own])),
                    "value": of("all", judged)[metric],
                    "without the day": of("none", judged)[metric] - of("all", judged)[metric],
                }
                for what, value in add.items():
                    differences.setdefault((task, metric, what), []).append(value)
        print(json.dumps({"seed": seed} | {" ".join(k): round(v[-1], 5) for k, v in differences.items()}))
    table = Table("task", "metric", "value", "flattered", "without the day", title=f"{given.seeds} seeds")
    for task in LATE:
        for metric in ("auc", "log loss"):
            told = (differences[task, metric, w] for w in ("value", "flattered", "without the day"))
            table.add_row(task, metric, *map(shown, told))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
