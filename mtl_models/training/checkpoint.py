import json
import os
from pathlib import Path

import keras
import numpy as np

from mtl_models.training.epoch_recorder import EpochRecorder

STATE, MODEL = "state.npz", "model.keras"


class Checkpoint(keras.callbacks.Callback):
    """Keeps on disk what it takes to go on after any epoch as if training had never stopped.

    After each epoch `state.npz` holds the model's variables (with the states of random generators and of the
    weighting), both optimizers' (with the table's slots and the step), and the recorder's history and best
    weights; after each best epoch `model.keras` holds that model. Both are replaced at once: a reader, or a
    process that is killed, finds the old file or the new one.

    Give it to `fit` after the recorder, with `initial_epoch=checkpoint.restore(model)`, and let batches pass
    over as many epochs (`array_batches(skip_iterators=)`).

    Args:
        folder: where the files are; it is made.
        recorder: the `EpochRecorder` of the same training.
        of: what is trained, as text that differs where training would (settings and data).

    Raises:
        ValueError: in `restore`, if the folder's state is of another `of`.

    Example:

    >>> import numpy as np, tempfile
    >>> from mtl_models import Checkpoint, EpochRecorder, HardSharing, Layout, MultiTaskModel, Task
    >>> x, y = {"item": np.arange(20)}, {"click": np.arange(20.0) % 2}
    >>> model = MultiTaskModel(Layout.of({"item": 20}), [Task("click", "binary")], HardSharing(units=(4,)))
    >>> model.compile("adam")
    >>> recorder = EpochRecorder((x, y))
    >>> checkpoint = Checkpoint(tempfile.mkdtemp(), recorder)
    >>> done = checkpoint.restore(model)
    >>> history = model.fit(x, y, epochs=1, initial_epoch=done, verbose=0, callbacks=[recorder, checkpoint])
    >>> done, checkpoint.restore(model)
    (0, 1)
    """

    def __init__(self, folder: str | Path, recorder: EpochRecorder, of: str = ""):
        super().__init__()
        self.folder = Path(folder)
        self.recorder = recorder
        self.of = of

    def restore(self, model) -> int:
        """Puts a compiled model and the recorder back where training stopped; returns the epochs done."""
        path = self.folder / STATE
        if not path.is_file():
            return 0
        with np.load(path) as state:
            facts = json.loads(str(state["facts"]))
            if facts["of"] != self.of:
                raise ValueError(f"{path} is of a training with other settings or data")
            for part, variables in _parts(model).items():
                for i, variable in enumerate(variables):
                    variable.assign(state[f"{part}/{i}"])
            self.recorder.history[:] = facts["history"]
            self.recorder.best_epoch = facts["best_epoch"]
            self.recorder.best_weights = [state[f"best/{i}"] for i in range(len(model.weights))]
        return len(facts["history"])

    def on_epoch_end(self, epoch, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        recorder = self.recorder
        arrays = {
            f"{part}/{i}": keras.ops.convert_to_numpy(variable)
            for part, variables in _parts(self.model).items()
            for i, variable in enumerate(variables)
        }
        arrays |= {f"best/{i}": value for i, value in enumerate(recorder.best_weights)}
        facts = {"of": self.of, "history": recorder.history, "best_epoch": recorder.best_epoch}
        if recorder.history[-1]["best"]:
            self.save_model()
        with _whole(self.folder / STATE) as part:
            np.savez(part, facts=np.array(json.dumps(facts)), **arrays)

    def save_model(self) -> None:
        """Writes `model.keras`, the model as it is now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _whole(self.folder / MODEL) as part:
            self.model.save(part)


class _whole:
    """A path beside a file that takes its place once it is written."""

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_name(f".partial-{path.name}")

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            os.replace(self.part, self.path)


def _parts(model) -> dict[str, list]:
    embedding = model.embedding_optimizer.variables if model.embedding_optimizer is not None else []
    return {"model": model.variables, "dense": model.optimizer.variables, "embedding": embedding}
