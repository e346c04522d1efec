"""A model that begins where an earlier one of the same form ended, with rows for the ids that are new."""

from collections.abc import Mapping

import keras
import numpy as np

from mtl_models.inputs.layout import CategoricalSlots, Layout
from mtl_models.model import MultiTaskModel
from mtl_models.training.shifted_schedule import ShiftedSchedule


def grow(
    base: MultiTaskModel, layout: Layout, vectors: Mapping[str, np.ndarray], dtype: str
) -> MultiTaskModel:
    """The model `base` for a layout that has grown, with all its weights; it is not compiled.

    An id that had a row has the same values in it, wherever its feature's rows lie now. A row that is new
    gets the values of its feature's unknown row: until training says more, the model predicts of an id what
    it predicted before the id was known (as in Chen, Goodfellow & Shlens 2016, "Net2Net", growing does not
    change the function).

    Args:
        base: the earlier model.
        layout: of the new model: the same features, and of each at least the rows it had, in their order.
        vectors: those that the model holds, by feature; they are no weights, and replace the earlier ones.
        dtype: the policy that the new model computes in.

    Raises:
        ValueError: the layout is not one that `base`'s has grown to; says which feature does not fit.
    """
    rows = origin_of_rows(base.layout, layout)
    model = MultiTaskModel.from_config(
        {**base.get_config(), "layout": layout.to_dict(), "calibrators": {}, "dtype": dtype}
    )
    held = [[id(v) for v in of.feature_inputs.vectors.values()] for of in (base, model)]
    pairs = zip(
        (v for v in base.weights if id(v) not in held[0]),
        (v for v in model.weights if id(v) not in held[1]),
        strict=True,
    )
    for old, new in pairs:
        values = keras.ops.convert_to_numpy(old)
        new.assign(values[rows] if layout.categorical and new is model.feature_inputs.table else values)
    for name, matrix in vectors.items():
        model.feature_inputs.hold(name, matrix)
    return model


def keep_optimizers(base: MultiTaskModel, model: MultiTaskModel) -> bool:
    """Gives a compiled model of `grow` the state of its base's optimizers; new rows begin without one.

    Both go on counting steps, and schedules of the learning rate begin anew.

    Returns:
        Whether it did: not where either optimizer is of another kind than its base's (a model that was
        trained in 16 bits does not keep its optimizers').
    """
    pairs = [(base.optimizer, model.optimizer)]
    if model.layout.categorical:
        pairs.append((base.embedding_optimizer, model.embedding_optimizer))
    if any(type(old) is not type(new) for old, new in pairs):
        return False
    for old, new in pairs:
        slots = [[v for v in of.variables if not v.path.endswith(_OF_NO_WEIGHT)] for of in (old, new)]
        for before, after in zip(*slots, strict=True):
            values = keras.ops.convert_to_numpy(before)
            if new is model.embedding_optimizer:
                grown = keras.ops.convert_to_numpy(after)
                at = origin_of_rows(base.layout, model.layout, new=-1)
                values = np.where(at[:, None, None] < 0, grown, values[np.maximum(at, 0)])
            after.assign(values)
        new.iterations.assign(old.iterations)
        if isinstance(new._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            new.learning_rate = ShiftedSchedule(new._learning_rate, int(old.iterations.numpy()))
    return True


_OF_NO_WEIGHT = ("iteration", "iterations", "learning_rate")


def origin_of_rows(before: Layout, after: Layout, new: int | None = None) -> np.ndarray:
    """Which row of the earlier table each row of a grown one has its values from: int64 `[rows]`.

    Args:
        before, after: the layouts of both.
        new: stands for rows that are new; None gives them the unknown row of their feature.

    Raises:
        ValueError: `after` is not what `before` has grown to.
    """
    if before.feature_names != after.feature_names or before.side != after.side:
        raise ValueError(
            f"the earlier model's features are {', '.join(before.feature_names)}, and the new one's "
            f"{', '.join(after.feature_names)}"
        )
    for old, grown in zip(before.vectors, after.vectors, strict=True):
        if (old.dim, bool(old.rows)) != (grown.dim, bool(grown.rows)):
            raise ValueError(f"the vector '{old.name}' had {old.dim} numbers and has {grown.dim}")
    origin = np.full(after.table_rows, -1, np.int64)
    for old, grown in zip(before.categorical, after.categorical, strict=True):
        _check(old, grown)
        first, end = grown.first_row, grown.first_row + old.rows
        origin[first:end] = old.first_row + np.arange(old.rows)
        rest = slice(end, grown.first_row + grown.rows)
        origin[rest] = old.first_row + (old.unknown_row or 0) if new is None else new
    return origin


def _check(old: CategoricalSlots, grown: CategoricalSlots) -> None:
    same = ("length", "unknown_row", "missing_row")
    if any(getattr(old, name) != getattr(grown, name) for name in same):
        raise ValueError(f"the feature '{old.name}' was {old} and is {grown}")
    if grown.rows < old.rows or (grown.rows > old.rows and old.unknown_row is None):
        raise ValueError(
            f"the feature '{old.name}' had {old.rows} rows and has {grown.rows}: rows of a vocabulary can "
            "only be added, and the number of buckets stays"
        )
