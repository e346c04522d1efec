"""TensorFlow Transform's graph as the exported model runs it: what the model reads, and nothing of labels."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

Sparse = Mapping[str, tf.SparseTensor]


class Preprocessing(tf.Module):
    """Raw columns to the model's packed inputs, within a function that TensorFlow traces.

    TensorFlow Transform's own layer calls its whole graph: labels, masks and weights too, of columns that it
    makes up for them. Their lookups then lead to nothing, which is why TensorFlow cannot inline the call, and
    optimizes it apart. Cut down to what is read, the demo's `serving_default` answers in three quarters of
    the time, and is ready in as much. What is left is put into the caller's graph in one piece;
    `WrappedFunction.prune` would do the same an operation at a time, in Python.
    """

    def __init__(self, layer: Any, columns: Iterable[str]):
        """
        Args:
          layer: `tft.TFTransformOutput.transform_features_layer()`.
          columns: that it is called with.
        """
        super().__init__()
        # TensorFlow Transform has no public way to what its layer loaded
        loader = layer._saved_model_loader
        # vocabularies and what else the graph keeps, without the functions: they would be saved beside ours
        functions = ("transform_fn", "signatures")
        of_graph = loader._imported._trackable_children().items()
        self._kept = {name: kept for name, kept in of_graph if name not in functions}
        self._columns = sorted(columns)
        feeds = loader._get_feeds(loader._get_unfed_input_keys(self._columns))
        self._outputs = {n: x for n, x in loader._get_fetches(feeds).items() if "/" not in n}
        self._feeds = [x.name for x in _parts([loader._structured_inputs[name] for name in self._columns])]
        self._graph = loader._wrapped_function.graph

    def __call__(self, columns: Sparse) -> dict[str, tf.Tensor]:
        """Every packed input that can be made of the columns; `[rows, ...]` each."""
        wanted = _parts(self._outputs)
        definition = _reached(self._graph.as_graph_def(), [x.op.name for x in wanted])
        there = {node.name for node in definition.node}
        inputs = dict(zip(self._feeds, _parts([columns[name] for name in self._columns])))
        into = tf.compat.v1.get_default_graph()
        inputs |= {x.name: into.capture(of) for of, x in self._graph.captures if x.op.name in there}
        found = tf.graph_util.import_graph_def(
            definition,
            input_map={name: x for name, x in inputs.items() if name.partition(":")[0] in there},
            return_elements=[x.name for x in wanted],
            name="",
        )
        for value, before in zip(found, wanted):
            value.set_shape(before.shape)  # which cutting down loses
        return tf.nest.pack_sequence_as(self._outputs, found, expand_composites=True)


def _reached(whole: tf.compat.v1.GraphDef, names: list[str]) -> tf.compat.v1.GraphDef:
    """What operations of these names need."""
    nodes, there, waiting = {node.name: node for node in whole.node}, set(), list(names)
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name not in there:
            there.add(name)
            waiting += nodes[name].input
    found = tf.compat.v1.GraphDef(versions=whole.versions, library=whole.library)
    found.node.extend(node for node in whole.node if node.name in there)
    return found


def _parts(values: Any) -> list[tf.Tensor]:
    return tf.nest.flatten(values, expand_composites=True)
