import itertools
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from mtl_models.inputs.layout import CategoricalSlots
from mtl_models.layers.masked_pooling import MaskedPooling
from mtl_models.layers.target_attention import TargetAttention
from mtl_models.seeds import derive_seed


class CategoricalEmbeddings(keras.layers.Layer):
    """Looked-up rows to one embedding a categorical feature: [B, features, dim].

    A single-valued feature's is its row; a list's rows are pooled, or attended to by a target.

    Args:
        features: the features, in the order of the output.
        columns: how many columns the ids have.
        pooling: how lists are pooled: see `MaskedPooling`.
        targets: history → the slots of its target: see `TargetAttention`.
        attention_units: width of the activation units.
        seed: of the activation units.
    """

    def __init__(
        self,
        features: Sequence[CategoricalSlots],
        columns: int,
        pooling: str,
        targets: Mapping[str, CategoricalSlots],
        attention_units: int,
        seed: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.features = tuple(features)
        self.targets = dict(targets)
        self.pooling = MaskedPooling(pooling, dtype=self.dtype_policy)
        self.attention = {
            history: TargetAttention(
                attention_units,
                derive_seed(seed, history),
                name=f"attention_{history}",
                dtype=self.dtype_policy,
            )
            for history in self.targets
        }
        # runs of single-valued features are one slice
        runs = itertools.groupby(self.features, lambda feature: feature.length > 1)
        self.runs = [
            span for multivalued, run in runs for span in _consecutive(list(run), joined=not multivalued)
        ]
        ends = {cut for first, last in self.runs for cut in (first.first_slot, last.first_slot + last.length)}
        self.cuts = sorted(ends - {0, columns})

    def build(self, input_shape):
        for layer in self.attention.values():
            layer.build(input_shape)
        self.built = True

    def call(self, rows, ids):
        # cut once: the gradient of a split is one concatenation, that of many slices as many padded sums
        pieces = dict(zip([0, *self.cuts], ops.split(rows, self.cuts, axis=1) if self.cuts else [rows]))
        parts = []
        for first, last in self.runs:
            part = pieces[first.first_slot]
            if first.length > 1:
                mask = ids[:, first.first_slot : first.first_slot + first.length] >= 0
                target = self.targets.get(first.name)
                if target is None:
                    part = self.pooling(part, mask)[:, None]
                else:
                    part = self.attention[first.name](rows[:, target.first_slot], part, mask)[:, None]
            parts.append(part)
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)


def _consecutive(features, joined):
    """(first, last) of each run of features whose columns follow each other."""
    runs = []
    for feature in features:
        if joined and runs and runs[-1][1].first_slot + 1 == feature.first_slot:
            runs[-1] = (runs[-1][0], feature)
        else:
            runs.append((feature, feature))
    return runs
