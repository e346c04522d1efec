import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mtl_models.training.alarms import alarms
from mtl_models.training.check import check_labels
from mtl_models.training.gates import GateUse
from mtl_models.training.gradients import gradient_statistics
from mtl_models.training.objective import Objective, measure
from mtl_models.weighting.uncertainty import Uncertainty


class EpochRecorder(keras.callbacks.Callback):
    """Measures the validation set after each epoch, keeps the best epoch's weights, stops, records.

    The checkpoint is the epoch with the greatest `Objective`; its weights are restored at the end of
    training. `history` is a list of one dict an epoch, of plain JSON values:
    `epoch` (from 1), `losses` {"total": …, task: …} and `task_weights` {task: …} of training,
    `validation` {task: {metric: …}}, `gains` {task: …}, `objective`, `best` (whether it was the best so
    far), `gate_use` {gate: {expert: mean weight}}, `gates` {gate: {"mean", "load", "entropy"}} (see
    `gate_statistics`), `gradients` {"norms", "cosines", "conflicts"} (see `gradient_statistics`) on
    validation rows, `alarms` [sentence], `learning_rate`, `seconds` of training and `validation_seconds`.

    What is measured also joins the epoch's logs, so that callbacks after this one (TensorBoard) have it.

    Raises FloatingPointError at the end of an epoch in which a loss or task weight was not finite, or after
    which the prediction of a validation row with a label is not.

    Args:
        validation_data: `(x, y)` or `(x, y, sample_weight)` of arrays: x a dict as the model takes it, y
            and sample_weight dicts from task to [N].
        objective: what to stop on; None: every task's gain, equally.
        groups: [N] of, say, users; adds `gauc` to the binary tasks' metrics.
        patience: epochs without a new best before training stops; None never stops.
        batch_size: rows a prediction batch.
        on_progress: called after each epoch with its history entry under "entry", and every
            `progress_steps` batches, each time with a dict of "epoch" (from 1), "step" and "steps" (None
            if unknown), "loss".
        progress_steps: batches between calls within an epoch; 0 calls at ends of epochs only.
        gradient_rows: validation rows that gradients are measured on; 0 leaves that out.

    Example:

    >>> import numpy as np
    >>> from mtl_models import EpochRecorder, HardSharing, Layout, MultiTaskModel, Task
    >>> x, y = {"item": np.arange(20)}, {"click": np.arange(20.0) % 2}
    >>> model = MultiTaskModel(Layout.of({"item": 20}), [Task("click", "binary")], HardSharing(units=(4,)))
    >>> model.compile("adam")
    >>> recorder = EpochRecorder((x, y), patience=2)
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[recorder])
    >>> sorted(recorder.history[0]["validation"]["click"]), recorder.history[1]["alarms"]
    (['auc', 'logloss'], [])
    """

    def __init__(
        self,
        validation_data,
        objective: Objective | None = None,
        groups=None,
        patience: int | None = None,
        batch_size: int = 8192,
        on_progress: Callable[[dict], None] | None = None,
        progress_steps: int = 0,
        gradient_rows: int = 4096,
    ):
        super().__init__()
        self.x, self.y, self.sample_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
        self.objective = objective
        self.groups = groups
        self.patience = patience
        self.batch_size = batch_size
        self.on_progress = on_progress
        self.progress_steps = progress_steps
        self.gradient_rows = gradient_rows
        self.history: list[dict] = []
        self.best_epoch: int | None = None
        self.best_weights = None

    def on_train_begin(self, logs=None):
        tasks = self.model.tasks
        if self.objective is None:
            self.objective = Objective({task.name: 1.0 for task in tasks})
        self.objective.check(tasks)
        lacking = [task.name for task in tasks if task.name not in self.y]
        if lacking:
            raise KeyError(f"validation_data has no labels of {', '.join(lacking)}")
        check_labels(tasks, self.y, self.sample_weight)
        if self.groups is None and "gauc" in map(self.objective.metric, tasks):
            raise ValueError("objective: gauc needs groups")
        of_any = {n: tf.TensorSpec([None, *np.shape(v)[1:]], np.asarray(v).dtype) for n, v in self.x.items()}
        self._answer = tf.function(self.model.predictions_and_gates, [of_any], autograph=False)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1
        self._started = time.perf_counter()
        self._next_call = self.progress_steps

    def on_train_batch_end(self, batch, logs=None):
        # with several steps an execution, `batch` jumps
        if self.on_progress and self.progress_steps and batch + 1 >= self._next_call:
            self._next_call = batch + 1 + self.progress_steps
            self.on_progress(
                {
                    "epoch": self._epoch,
                    "step": batch + 1,
                    "steps": self.params.get("steps"),
                    "loss": float(logs["loss"]),
                }
            )

    def on_epoch_end(self, epoch, logs=None):
        trained = time.perf_counter()
        lost = [name for name, value in logs.items() if not np.isfinite(value)]
        if lost:
            raise FloatingPointError(
                f"training diverged in epoch {epoch + 1}: {', '.join(lost)} is not "
                "finite; lower the learning rates or set clip_norm"
            )
        names = [task.name for task in self.model.tasks]
        predictions, gates = self._answers()
        measured, gains = self._measure(predictions)
        objective = self.objective.combine(gains)
        best = self.best_epoch is None or objective > self.history[self.best_epoch - 1]["objective"]
        rate = self.model.optimizer.learning_rate
        entry = {
            "epoch": epoch + 1,
            "losses": {"total": float(logs["loss"]), **{n: float(logs[f"{n}_loss"]) for n in names}},
            "task_weights": {n: float(logs[f"{n}_weight"]) for n in names},
            "validation": measured,
            "gains": gains,
            "objective": objective,
            "best": best,
            **self._inside(gates),
            "learning_rate": float(keras.ops.convert_to_numpy(rate)),
            "seconds": trained - self._started,
            "validation_seconds": time.perf_counter() - trained,
        }
        entry["alarms"] = alarms(entry, self._at_bounds())
        self.history.append(entry)
        logs.update(scalars(entry))
        if best:
            self.best_epoch = len(self.history)
            self.best_weights = [keras.ops.convert_to_numpy(v) for v in self.model.weights]
        elif self.patience is not None and len(self.history) - self.best_epoch >= self.patience:
            self.model.stop_training = True
        if self.on_progress:
            self.on_progress(
                {
                    "epoch": epoch + 1,
                    "step": self.params.get("steps"),
                    "steps": self.params.get("steps"),
                    "loss": entry["losses"]["total"],
                    "entry": entry,
                }
            )

    def on_train_end(self, logs=None):
        if self.best_weights is not None:
            for variable, value in zip(self.model.weights, self.best_weights):
                variable.assign(value)

    def _answers(self) -> tuple[dict, dict]:
        """Predictions of the validation rows, and what gates do there: one pass for both."""
        use, parts = GateUse(self.model.architecture.gate_experts()), []
        for start in range(0, len(next(iter(self.x.values()))), self.batch_size):
            batch = {name: np.asarray(v)[start : start + self.batch_size] for name, v in self.x.items()}
            predictions, gates = self._answer(batch)
            parts.append({name: keras.ops.convert_to_numpy(v) for name, v in predictions.items()})
            use.add(gates)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, use.statistics()

    def _inside(self, gates: dict) -> dict:
        """What gates and gradients do on validation rows."""
        inside = {"gate_use": {gate: of["mean"] for gate, of in gates.items()}, "gates": gates}
        if self.gradient_rows:
            inside["gradients"] = gradient_statistics(
                self.model, self.x, self.y, self.sample_weight, self.gradient_rows
            )
        return inside

    def _at_bounds(self) -> dict[str, str]:
        """Tasks whose learned weight is held at its range's least or greatest value."""
        weighting = self.model.weighting
        if not isinstance(weighting, Uncertainty):
            return {}
        found = keras.ops.convert_to_numpy(weighting.log_variances)
        at = {
            task.name: "greatest" if s <= weighting.minimum else "least" if s >= weighting.maximum else None
            for task, s in zip(self.model.tasks, found)
        }
        return {task: bound for task, bound in at.items() if bound}

    def _measure(self, predictions: dict) -> tuple[dict, dict]:
        measured, gains = {}, {}
        for task in self.model.tasks:
            labels, scores = np.asarray(self.y[task.name]), predictions[task.name]
            weights = (self.sample_weight or {}).get(task.name)
            _refuse_nan(task.name, scores, weights)
            values = measure(task, labels, scores, weights, self.groups)
            measured[task.name] = values
            gains[task.name] = self.objective.gain(task, values, labels, weights)
        return measured, gains


def _refuse_nan(task: str, predictions: np.ndarray, weights) -> None:
    """Ranks and means of NaN look like numbers, and an objective that is NaN is never beaten."""
    lost = ~np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    if weights is not None:
        lost &= np.asarray(weights).reshape(-1) > 0
    if lost.any():
        raise FloatingPointError(
            f"predictions of task '{task}' are not finite in {lost.sum():,} of {len(lost):,} validation "
            f"rows, the first of them row {np.flatnonzero(lost)[0]}; are its numbers and vectors finite?"
        )


def scalars(entry: dict) -> dict[str, float]:
    """What is measured at the end of an epoch, flat, for TensorBoard."""
    found = {"objective": entry["objective"]}
    for task, values in entry["validation"].items():
        found |= {f"validation/{task}_{metric}": value for metric, value in values.items()}
    gradients = entry.get("gradients") or {"norms": {}, "cosines": {}}
    found |= {f"gradient_norm/{task}": value for task, value in gradients["norms"].items()}
    found |= {f"gradient_cosine/{pair}": value for pair, value in gradients["cosines"].items()}
    for gate, of in entry["gates"].items():
        found[f"gate_entropy/{gate}"] = of["entropy"]
        for what in ("mean", "load"):
            found |= {f"gate_{what}/{gate}/{expert}": value for expert, value in of[what].items()}
    return {name: float(value) for name, value in found.items() if value is not None}
