"""What preprocessing found in the rows that a model was first trained on: means, variances, bucket edges.

They decide what the numbers that a model reads mean. A model that training goes on from has learned by them,
so its rows stay scaled and bucketed by them until a model is trained from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow.python.eager import wrap_function

_MARK = "fitted__"


class Fitted:
    """Statistics by name, found anew or those that were found before.

    Args:
      kept: name → value, as `read_fitted` gives them; None finds all anew.
    """

    def __init__(self, kept: Mapping[str, float | list] | None):
        self._kept = kept

    def __call__(self, name: str, find: Callable[[], tf.Tensor], dtype: tf.DType = tf.float64) -> tf.Tensor:
        """A statistic, under its name in the graph; `find` calls an analyzer of TensorFlow Transform.

        Raises:
          KeyError: what was found before has none of that name.
        """
        found = find() if self._kept is None else tf.constant(self._kept[name], dtype)
        return tf.identity(tf.cast(found, dtype), name=_MARK + name)


def read_fitted(graph: str | Path) -> dict[str, float | list]:
    """The statistics in a transform graph by name; after analysis they are constants there.

    Args:
      graph: the folder that TensorFlow Transform wrote.
    """
    function = tf.saved_model.load(str(Path(graph, "transform_fn"))).transform_fn
    marked = {
        op.name.removeprefix(_MARK): op.outputs[0]
        for op in function.graph.get_operations()
        if op.type == "Identity" and op.name.startswith(_MARK)
    }
    if not marked:
        return {}
    # as TensorFlow Transform prunes what it saves; what no input reaches needs none
    whole = wrap_function.WrappedFunction(function.graph, variable_holder=wrap_function.VariableHolder())
    values = whole.prune(feeds=[], fetches=list(marked.values()))()
    return {name: value.numpy().tolist() for name, value in zip(marked, values, strict=True)}
