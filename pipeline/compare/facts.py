"""What a comparison came to, as the plain values of compare.json."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.compare.differences import LEVEL, difference
from pipeline.compare.measures import measured, metrics_of
from pipeline.compare.models import Models
from pipeline.compare.variants import Variant
from pipeline.metric_names import DIRECTIONS
from pipeline.recipe import Recipe

FORMAT = 1


def facts_of(
    recipe: Recipe, models: Models, single: Variant, others: Sequence[Variant], seeds: Sequence[int]
) -> dict[str, Any]:
    """Everything that is told of a comparison; all models are trained.

    Args:
      recipe: the recipe itself.
      models: where they are kept.
      single: the baseline.
      others: the variants.
      seeds: of training.
    """
    judged = models.rows.judged
    baseline = [_metrics(models, single, seed) for seed in seeds]
    cost = _cost(models, single, seeds)
    found = []
    for variant in others:
        of = _Variant(recipe, models, variant, seeds)
        tasks = of.tasks(baseline)
        own = _cost(models, variant, seeds)
        found.append(
            {
                "name": variant.name,
                "architecture": variant.recipes[0].model.architecture.model_dump(),
                "weighting": variant.recipes[0].weighting.model_dump(),
                "tasks": tasks,
                "mean_relative_gain": _mean_relative_gain(tasks),
                "seesaw": _seesaw(tasks),
                "gradients": of.gradients(),
                "cost": own | {"relative": {n: v / cost[n] if cost[n] else None for n, v in own.items()}},
            }
        )
    return {
        "format": FORMAT,
        "recipe": recipe.name,
        "split": "test",
        "rows": len(judged),
        "users": len(judged["role/user"].unique()) if recipe.roles.user else None,
        "known": {t: int(np.sum(judged[f"{t}/mask"].to_numpy() > 0)) for t in recipe.tasks},
        "seeds": list(seeds),
        "replicates": recipe.evaluation.replicates,
        "level": LEVEL,
        "single_task": {
            "architectures": {next(iter(r.tasks)): r.model.architecture.model_dump() for r in single.recipes},
            "cost": cost,
        },
        "variants": found,
    }


class _Variant:
    """One variant's models over seeds."""

    def __init__(self, recipe: Recipe, models: Models, variant: Variant, seeds: Sequence[int]):
        self.recipe, self.models, self.variant, self.seeds = recipe, models, variant, seeds

    def tasks(self, baseline: Sequence[dict]) -> dict[str, dict[str, Any]]:
        """Of each task its metrics, the first of which decides."""
        ours = [_metrics(self.models, self.variant, seed) for seed in self.seeds]
        found = {}
        for task in self.recipe.tasks:
            names = metrics_of(self.recipe, task)
            metrics = {name: _compared(task, name, ours, baseline) for name in names}
            decides = metrics[names[0]]
            found[task] = {"verdict": decides["verdict"], "metric": names[0], "metrics": metrics}
        return found

    def gradients(self) -> dict[str, Any]:
        """Of each pair of tasks the mean cosine of their gradients and the share of batches in which it is
        below 0, as measured on validation rows after each epoch, over epochs and seeds."""
        pairs: dict[str, dict[str, list[float]]] = {}
        for seed in self.seeds:
            for recipe in self.variant.seeded(seed):
                for epoch in self.models.history(recipe)["epochs"]:
                    for key in ("cosines", "conflicts"):
                        for pair, value in epoch["gradients"][key].items():
                            values = pairs.setdefault(pair, {"cosines": [], "conflicts": []})[key]
                            values += [] if value is None else [value]
        means = {
            pair: {key: float(np.mean(v)) if v else None for key, v in values.items()}
            for pair, values in pairs.items()
        }
        return {
            "over": self.variant.recipes[0].model.gram_over,
            "pairs": {p: {"cosine": m["cosines"], "negative": m["conflicts"]} for p, m in means.items()},
        }


def _metrics(models: Models, variant: Variant, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Task → metric → (1 + replicates,), of all models of a variant."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for recipe in variant.seeded(seed):
        found |= measured(models, recipe)
    return found


def _compared(task: str, metric: str, ours: Sequence[dict], theirs: Sequence[dict]) -> dict[str, Any]:
    undefined = np.full(1 + _replicates(ours), np.nan)
    a, b = (np.stack([of[task].get(metric, undefined) for of in side]) for side in (ours, theirs))
    means = [float(v) if np.isfinite(v) else None for v in (a[:, 0].mean(), b[:, 0].mean())]
    found = asdict(difference(a, b, DIRECTIONS[metric]))
    return {
        "better": "higher" if DIRECTIONS[metric] > 0 else "lower",
        "value": means[0],
        "single_task": means[1],
        "difference": found.pop("value"),
    } | found


def _replicates(sides: Sequence[dict]) -> int:
    return max((len(v) - 1 for of in sides for task in of.values() for v in task.values()), default=2)


def _mean_relative_gain(tasks: dict) -> float | None:
    """Mean over tasks of the metric's gain relative to the single-task model's value, losses negative
    (Maninis, Radosavovic & Kokkinos 2019, "Attentive single-tasking of multiple tasks", eq. 2)."""
    gains = []
    for of in tasks.values():
        found = of["metrics"][of["metric"]]
        if found["difference"] is not None and found["single_task"]:
            sign = 1 if found["better"] == "higher" else -1
            gains.append(sign * found["difference"] / abs(found["single_task"]))
    return float(np.mean(gains)) if gains else None


def _seesaw(tasks: dict) -> dict[str, Any]:
    """Which tasks gain and which lose; a seesaw where there are both."""
    sides = {
        side: [t for t, of in tasks.items() if of["verdict"] == verdict]
        for side, verdict in (("gain", "helps"), ("lose", "hurts"))
    }
    return sides | {"seesaw": bool(sides["gain"] and sides["lose"])}


def _cost(models: Models, variant: Variant, seeds: Sequence[int]) -> dict[str, float]:
    """Of all of a variant's models together: weights; mean over seeds of seconds to train, milliseconds a
    step (of one a task: a step of each), milliseconds to score 1,000 rows."""
    totals = {"parameters": [], "train_seconds": [], "step_ms": [], "predict_ms": []}
    for seed in seeds:
        of = [(models.facts(r), models.history(r)) for r in variant.seeded(seed)]
        totals["parameters"].append(sum(facts.parameters for facts, _ in of))
        totals["train_seconds"].append(sum(e["seconds"] for _, history in of for e in history["epochs"]))
        totals["step_ms"].append(sum(_step_seconds(history) for _, history in of) * 1e3)
        totals["predict_ms"].append(sum(facts.predict_seconds for facts, _ in of) * 1e3)
    found = {name: float(np.mean(values)) for name, values in totals.items()}
    return found | {"parameters": int(found["parameters"])}


def _step_seconds(history: dict) -> float:
    """Of an epoch in the middle: the first also builds TensorFlow's graphs."""
    epochs = history["epochs"]
    return float(np.median([e["seconds"] for e in epochs[1:] or epochs])) / history["steps"]
