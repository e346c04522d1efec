"""What a model loses with age: those of earlier spans on the rows of a later one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.evaluation.asked import AskedModel
from pipeline.evaluation.auc import auc
from pipeline.evaluation.records import key_hashes
from pipeline.evaluation.replicates import percentile_intervals
from pipeline.examples import decoder, serialized_batches, single_values
from pipeline.recipe import Recipe

MOST_ROWS, REPLICATES = 20_000, 100
_BATCH = 1024


class Aged(NamedTuple):
    """A model to measure: how many spans ago its own was, that span, its version ("" of the new one), its
    path."""

    age: int
    span: str
    version: str
    path: str


class Rows(NamedTuple):
    """Those that models are measured on: a folder of examples, the split, and how many it has."""

    examples: str
    split: str
    total: int


def measure_ages(
    recipe: Recipe, of_span: Rows, tasks: Sequence[str], models: Sequence[Aged], rows: int = MOST_ROWS
) -> dict[str, Any]:
    """The AUC of binary tasks by the age of the model.

    Of many rows a share is taken, evenly spread over the split. Intervals are by a bootstrap of users, or of
    rows where no role says who the user is; all models are measured on the same samples.

    Args:
      recipe: names roles.
      of_span: the rows of one span.
      tasks: that are measured on them.
      models: the youngest first.
      rows: at most about so many are scored.

    Returns:
      `rows` that were scored, and `tasks`: name → a dict a model of `age`, `span`, `version`, `auc`,
      `interval` and `note`, which says why there is no AUC.
    """
    asked = [AskedModel(model.path) for model in models]
    user = recipe.roles.named().get("user")
    columns = {f"{t}/{part}": "float" for t in tasks for part in ("label", "mask")}
    columns |= {user: recipe.columns[user].type} if user else {}
    decode = decoder(columns).DecodeBatch
    read: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    scores: list[dict[str, list[np.ndarray]]] = [{t: [] for t in tasks} for _ in models]
    for batch in _spread(of_span, rows):
        found = decode(batch.numpy())
        for name, column in zip(found.schema.names, found.columns, strict=True):
            flat = single_values(column)
            read[name].append(key_hashes(flat) if name == user else flat.to_numpy(zero_copy_only=False))
        for model, of in zip(asked, scores, strict=True):
            for task, values in model.scores(batch, tasks).items():
                of[task].append(values)
    whole = {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in read.items()}
    count = len(next(iter(whole.values()), ()))
    users = np.unique(whole[user], return_inverse=True)[1] if user else np.arange(count)
    draws = np.random.default_rng(0).poisson(1.0, (REPLICATES, users.max(initial=-1) + 1))
    found_of: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        known = whole[f"{task}/mask"] > 0
        for aged, model, of in zip(models, asked, scores, strict=True):
            entry = aged._asdict()
            del entry["path"]
            entry |= {"auc": None, "interval": None, "note": model.fault}
            if model.fault is None and not of[task]:
                entry["note"] = "has no such task"
            elif model.fault is None:
                label, score = whole[f"{task}/label"][known], np.concatenate(of[task])[known]
                at = users[known]
                values = np.array([auc(label, score), *(auc(label, score, draw[at]) for draw in draws)])
                if np.isfinite(values[0]):
                    low, high = percentile_intervals(values[None, 1:])[0]
                    ends = [float(low), float(high)] if np.isfinite(low) else None
                    entry |= {"auc": float(values[0]), "interval": ends}
                else:
                    entry["note"] = "is not measured: it needs examples of both classes"
            found_of.setdefault(task, []).append(entry)
    return {"rows": count, "tasks": found_of}


def _spread(of_span: Rows, rows: int) -> Iterator[tf.Tensor]:
    """Batches of the split, of each batch the same share of its rows."""
    every = max(1, -(-of_span.total // rows))
    for batch in serialized_batches(of_span.examples, of_span.split, _BATCH):
        yield batch[::every]
