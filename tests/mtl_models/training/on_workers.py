"""Trains models over a strategy's replicas and writes their weights: `MODE FOLDER CASE...`, in processes that
`test_distributed` starts."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mtl_models import (
    Equal,
    HardSharing,
    Layout,
    MMoE,
    MultiTaskModel,
    PCGrad,
    RowAdam,
    Task,
    Uncertainty,
    array_batches,
)

WEIGHTINGS = {"equal": Equal, "uncertainty": Uncertainty, "pcgrad": PCGrad}
ARCHITECTURES = {
    "hard sharing": lambda: HardSharing(units=(8,)),
    "mmoe": lambda: MMoE(experts=3, units=(8,)),
}
CASES = [f"{architecture}, {weighting}" for architecture in ARCHITECTURES for weighting in WEIGHTINGS]
BATCH = 16


def data():
    """Of 4 whole batches and one of a single row; `like` is not known in the second half of any batch."""
    rng, rows = np.random.default_rng(0), 4 * BATCH + 1
    x = {
        "user": rng.integers(0, 6, rows),
        "tags": rng.integers(-1, 5, (rows, 3)),
        "age": rng.normal(size=rows).astype("float32"),
    }
    y = {task: rng.integers(0, 2, rows).astype("float32") for task in ("click", "watch", "like")}
    weights = {task: rng.integers(0, 3, rows).astype("float32") for task in y}
    weights["like"][np.arange(rows) % BATCH >= BATCH // 2] = 0
    return x, y, weights


def trained(case, strategy=None):
    """Every variable after 3 epochs, by its place."""
    architecture, weighting = case.split(", ")
    with strategy.scope() if strategy is not None else tf.init_scope():
        model = MultiTaskModel(
            Layout.of({"user": 6, "tags": (5, 3)}, ["age"]),
            [
                Task("click", "binary", loss_weight=2.0),
                Task("watch", "regression", scale=2.0),
                Task("like", "binary", loss_weight=0.5),
            ],
            ARCHITECTURES[architecture](),
            tower_units=(4,),
            embedding_dim=4,
            embedding_l2=0.01,
            weighting=WEIGHTINGS[weighting](),
            gram_over="parameters" if architecture == "mmoe" else "representation",
        )
        model.compile(keras.optimizers.Adam(0.01), RowAdam(0.01), steps_per_execution=2, clip_norm=1.0)
    model.fit(array_batches(data(), BATCH, shuffle=False), epochs=3, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.embedding_optimizer.variables]
    return {f"{i} {v.shape}": np.asarray(v).astype("float64") for i, v in enumerate(variables)}


def main(mode, folder, *cases):
    if mode == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    for case in cases:
        np.savez(Path(folder, f"{case}.npz"), **trained(case, strategy))


if __name__ == "__main__":
    main(*sys.argv[1:])
