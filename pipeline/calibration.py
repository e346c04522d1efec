"""Calibration of a trained model on validation rows, and what it came to there."""

from typing import Any

import numpy as np

from mtl_models import MultiTaskModel, calibrate
from pipeline.evaluation.terms import terms_of
from pipeline.recipe import Recipe

_MEASURED = ("ece", "logloss", "normalized_entropy", "calibration")


def calibrate_on(recipe: Recipe, model: MultiTaskModel, validation: tuple) -> dict[str, dict[str, Any]]:
    """Fits the calibrations that the recipe asks for, by the row weights that evaluation uses.

    Args:
      recipe: says which task has which.
      model: trained; it has the calibrators from then on.
      validation: as `trainer.read_arrays` gives them.

    Returns:
      task → `method`; `rows` it was fitted on; `parameters` of the fit, and `problem`, the sentence that says
      why there are none, one of them None; `validation`: {"before", "after"}, each the metrics of those rows
      by name. They are of the rows that the fit has seen: what it is worth, test says.
    """
    inputs, labels, weights, masks = validation
    if not recipe.calibrated:
        return {}
    weights = weights if recipe.evaluation.weighted else masks
    model.set_calibrators({})
    before = model.predict(inputs, batch_size=8192, verbose=0)
    left = calibrate(model, recipe.calibrated, inputs, labels, weights)
    after = model.predict(inputs, batch_size=8192, verbose=0)
    found = {}
    for name, method in recipe.calibrated.items():
        reason = left.get(name)
        rows = (labels[name], weights[name])
        found[name] = {
            "method": method,
            "rows": int(np.count_nonzero(weights[name] > 0)),
            "parameters": None if reason else model.calibrators[name].parameters,
            "problem": reason
            and f"{name} is served without its {method} calibration: on validation {reason}",
            "validation": {
                "before": _measure(recipe.tasks[name].kind, before[name], *rows),
                "after": _measure(recipe.tasks[name].kind, after[name], *rows),
            },
        }
    return found


def _measure(
    kind: str, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, float | None]:
    known = weights > 0
    scores, labels, weights = (np.asarray(v, np.float64)[known] for v in (scores, labels, weights))
    terms = terms_of(kind, labels, scores, weights, 0.5)
    sums = terms.sums(labels, scores, weights)
    found = {name: float(terms.metrics[name](sums)) for name in _MEASURED if name in terms.metrics}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}
