"""The metrics of a kept model on the test rows, with the replicates of a bootstrap by user."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtl_models.training.objective import default_metric
from pipeline import digests
from pipeline.compare.models import Models
from pipeline.evaluation.engine import Bootstrap, measure
from pipeline.evaluation.records import ScoreFiles
from pipeline.metric_names import DIRECTIONS
from pipeline.recipe import Recipe

# Metrics compared beside the one that decides, where a kind has them.
_OTHERS = {
    "binary": ("auc", "gauc", "logloss"),
    "regression": ("mae", "rmse", "spearman"),
    "multiclass": ("logloss", "accuracy", "macro_f1"),
    "ordinal": ("quadratic_kappa", "accuracy", "mae", "logloss"),
}


def metrics_of(recipe: Recipe, task: str) -> list[str]:
    """The metrics of a task; the first decides, and is the one that early stopping reads too.

    AUC of binary tasks; of regressions the mean absolute error, or its square's root where the loss aims at
    means; quadratic kappa of ordered classes; the log loss of others.
    """
    kind, loss = recipe.tasks[task].kind, recipe.tasks[task].loss
    names = dict.fromkeys((default_metric(kind, loss), *_OTHERS[kind]))
    return [n for n in names if n in DIRECTIONS and (n != "gauc" or recipe.roles.user)]


def measured(models: Models, recipe: Recipe) -> dict[str, dict[str, np.ndarray]]:
    """Task → metric → (1 + replicates,): its value on the test rows, then replicates; kept beside the model.

    The draws are of users alone, so those of different models are of the same rows.
    """
    judged = recipe.evaluation
    how = (judged.weighted, judged.replicates, judged.k, judged.quantile)
    what = digests.text_digest(repr(how), models.measuring_code)
    path = models.folder_of(recipe) / f"measured-{what}.npz"
    if not path.is_file():
        found = _measure(models, recipe)
        part = path.with_name(f".partial-{os.getpid()}")
        with part.open("wb") as file:
            np.savez(file, **found)
        part.replace(path)
    by_task: dict[str, dict[str, np.ndarray]] = {task: {} for task in recipe.tasks}
    with np.load(path) as read:
        for name, values in read.items():
            task, _, metric = name.partition("/")
            by_task[task][metric] = values
    return by_task


def _measure(models: Models, recipe: Recipe) -> dict[str, np.ndarray]:
    judged = recipe.evaluation
    table, scores = models.rows.judged, models.scores(recipe)
    for name in scores.schema.names:
        table = table.append_column(name, scores[name])
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        path = Path(folder, "scores.parquet")
        pq.write_table(pa.table(table), path)
        _, found = measure(
            ScoreFiles(path),
            {name: task.kind for name, task in recipe.tasks.items()},
            ["user"],
            [],
            max_slice_values=0,
            bootstrap=Bootstrap(judged.replicates),
            k=judged.k,
            quantile=judged.quantile,
            use_weight=judged.weighted,
        )
    return {
        f"{task}/{metric}": of.metrics["prediction"][metric][0]
        for task, of in found.items()
        for metric in of.metrics.get("prediction", {})
        if metric in DIRECTIONS
    }
