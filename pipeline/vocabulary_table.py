"""Vocabularies in TensorFlow Transform's graph: one table for all of them.

A table is three functions, a resource and a file, each of which TensorFlow traces, saves, loads and runs apart.
Of many vocabularies they would be most of what exporting and loading a model takes.
"""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from mtl_models import CategoricalSlots, Layout
from pipeline import vocabulary
from pipeline.recipe import Recipe


class Vocabularies:
    """What `vocabulary.write_vocabularies` wrote, for texts of any of its features."""

    def __init__(self, recipe: Recipe, layout: Layout, folder: str):
        own = vocabulary.with_vocabulary(recipe)
        sizes = {slots.name: slots.rows - vocabulary.FIRST_VALUE for slots in layout.categorical}
        self._numbers = {name: number for number, name in enumerate(own)}
        self._lines = {name: sum(sizes[before] for before in own[:i]) for i, name in enumerate(own)}
        self._owners = {slots.name: vocabulary.rows_of(recipe, slots.name) for slots in layout.categorical}
        if own:
            self._table = line_numbers(vocabulary.values_file(folder), "vocabularies")

    def has(self, feature: str) -> bool:
        """Whether the values of a feature have rows by a vocabulary, its own or one that it shares."""
        return self._owners[feature] in self._numbers

    def __call__(self, text: tf.Tensor, features: Sequence[CategoricalSlots]) -> tf.Tensor:
        """Texts `[values, features]` to rows of the embedding table, int64 of that shape."""
        owners = [self._owners[feature.name] for feature in features]
        prefixes = tf.constant([vocabulary.prefix(self._numbers[owner]) for owner in owners])
        lines = self._table.lookup(tf.add(prefixes, text))
        first = [feature.first_row for feature in features]
        values = [row + vocabulary.FIRST_VALUE - self._lines[owner] for row, owner in zip(first, owners)]
        unknown = tf.constant(first, tf.int64) + vocabulary.UNKNOWN
        return tf.where(lines < 0, unknown, lines + tf.constant(values, tf.int64))


def line_numbers(path: str, name: str) -> tf.lookup.StaticHashTable:
    """The number, from 0, of each line of a file; -1 of a text that is none."""
    lines = tf.lookup.TextFileIndex
    return tft.make_and_track_object(
        lambda: tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER), -1
        ),
        name=name,
    )
