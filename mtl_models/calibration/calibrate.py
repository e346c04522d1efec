from collections.abc import Mapping

import numpy as np
from keras import ops

from mtl_models.calibration._base import CannotCalibrate
from mtl_models.calibration.isotonic_calibration import IsotonicCalibration
from mtl_models.calibration.platt_scaling import PlattScaling
from mtl_models.calibration.temperature_scaling import TemperatureScaling
from mtl_models.kinds import KINDS
from mtl_models.training.forward import outputs_of

METHODS = {c.method: c for c in (PlattScaling, TemperatureScaling, IsotonicCalibration)}


def calibrate(
    model,
    methods: Mapping[str, str],
    inputs: Mapping,
    labels: Mapping,
    weights: Mapping | None = None,
    batch_size: int = 8192,
) -> dict[str, str]:
    """Gives tasks of a trained model their calibrators, from these rows; those it had are forgotten.

    Take rows that the model was not trained on, such as those of validation: on its own rows a model is more
    confident than it may be. Outputs are calibrated as they are served: after an architecture has coupled its
    tasks (so that ESMM's later ones need no longer be below the earlier), and for all data where training was
    given a share of the negatives. Training does not see calibrators: fit them anew when it goes on.

    Args:
        model: a `MultiTaskModel`; saved and exported with its calibrators from then on.
        methods: task → "platt", "temperature" or "isotonic"; other tasks stay as they are.
        inputs: arrays as the model takes them.
        labels, weights: task to [N]; weights None: all 1.
        batch_size: rows a batch.

    Returns:
        task → why it stays as it is, of those that these rows do not determine a calibrator for.

    Raises:
        ValueError: for a task or method that is not known, or does not fit.

    Example:
        >>> from mtl_models import HardSharing, Layout, MultiTaskModel, Task
        >>> model = MultiTaskModel(
        ...     Layout.of(numbers=["age"]), [Task("click", "binary")], HardSharing((4,)), seed=1
        ... )
        >>> x = {"age": np.linspace(-1, 1, 1000).astype("float32")}
        >>> click = np.arange(1000) % 10 > 7 + 3 * x["age"]
        >>> calibrate(model, {"click": "platt"}, x, {"click": click})
        {}
        >>> bool(abs(model.predict(x, verbose=0)["click"].mean() - click.mean()) < 0.01)
        True
    """
    kinds = {task.name: task.kind for task in model.tasks}
    for name, method in methods.items():
        if name not in kinds:
            raise ValueError(f"calibrate: '{name}' is not a task; those are {', '.join(kinds)}")
        if method not in METHODS or kinds[name] not in METHODS[method].kinds:
            fitting = [m for m, calibrator in METHODS.items() if kinds[name] in calibrator.kinds]
            raise ValueError(
                f"calibrate: '{name}' is a {kinds[name]} task, for which there is "
                f"{', '.join(fitting) or 'no calibration'}; it was to have '{method}'"
            )
    logits = _logits(model, methods, inputs, batch_size)
    found, left = {}, {}
    for name, method in methods.items():
        try:
            found[name] = METHODS[method].fit(
                logits[name], labels[name], (weights or {}).get(name), kinds[name]
            )
        except CannotCalibrate as reason:
            left[name] = str(reason)
    model.set_calibrators(found)
    return left


def _logits(model, names, inputs: Mapping, batch_size: int) -> dict[str, np.ndarray]:
    """task → its outputs in all data, before calibration, [N] or [N, units]."""
    found = {name: [] for name in names}
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows if names else 0, batch_size):
        packed = model.layout.pack({k: v[start : start + batch_size] for k, v in inputs.items()})
        outputs = outputs_of(model, model.feature_inputs.lookup(packed), packed, training=False)[0]
        for task, output in zip(model.tasks, outputs):
            if task.name in found:
                found[task.name].append(ops.convert_to_numpy(KINDS[task.kind].logits(task, output)))
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}
