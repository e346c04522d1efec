"""From looked-up rows to task losses: what training, evaluation and the gradient monitor share."""

from typing import Any, NamedTuple

from keras import ops

from mtl_models.kinds import row_losses
from mtl_models.losses import weighted_mean
from mtl_models.replicas import sum_over_replicas


class Forward(NamedTuple):
    """What a batch of B rows came to; divided among replicas (`mtl_models.replicas`), losses and `extra` are
    this replica's shares, and `weight_sums` those of all rows.

    Attributes:
        losses: T scalars, float32: `L_k = Σ w l / Σ w`, exactly 0 for a task without weight.
        weight_sums: [T], `Σ w` of each task.
        extra: scalar, what the architecture and the embeddings' penalty add to the total; None for nothing.
        z: the shared representation, or a list of T copies of it, of which each task's loss reads its own.
    """

    losses: list
    weight_sums: Any
    extra: Any
    z: Any


def outputs_of(model, rows, packed: dict, training=None, copies: bool = False) -> tuple:
    """`(outputs, features, tower outputs, z, gates)` of looked-up rows, outputs in float32; `copies` as
    `forward`'s."""
    inputs = model.feature_inputs
    dense = inputs.combine(rows, packed, training=training)
    z, rest = model.architecture.share(dense, training=training)
    if copies and model.architecture.reads_own_copy:
        z = [ops.copy(z) for _ in model.tasks]
    features, gates = model.architecture.separate(z, rest, training=training)
    prior = inputs.gates_input(rows, dense)
    towers = [ops.cast(output, "float32") for output in model.towers(features, prior, training=training)]
    at_position = inputs.position_logits(rows, training=training)
    if at_position is not None:
        names = [task.name for task in model.tasks]
        for column, name in enumerate(inputs.position_tasks):
            place = names.index(name)
            shape = (-1,) + (1,) * (len(towers[place].shape) - 1)
            towers[place] += ops.reshape(at_position[:, column], shape)
    return model.architecture.couple(towers, packed), features, towers, z, gates


def forward(
    model, rows, packed: dict, labels: list, weights: list, training: bool, copies: bool = False
) -> Forward:
    """The losses of a batch.

    Args:
        model: a `MultiTaskModel`.
        rows: as `FeatureInputs.lookup` gives them.
        packed: the packed inputs.
        labels: T times [B], numbers of any type.
        weights: T times [B], or None for 1 each; where one is 0 the label may be anything.
        training: whether dropout is on.
        copies: whether each task reads a copy of `z` of its own, where the architecture can.
    """
    labels, weights = _known(labels, weights)
    outputs, features, towers, z, _ = outputs_of(model, rows, packed, training, copies)
    sums = sum_over_replicas(ops.stack([ops.sum(weight) for weight in weights]))
    losses = [
        weighted_mean(row_losses(task, label, output, weight, packed), weight, sums[k])
        for k, (task, label, weight, output) in enumerate(zip(model.tasks, labels, weights, outputs))
    ]
    extra = model.architecture.penalty(features, towers, labels, weights)
    if model.embedding_l2 and rows is not None:
        # of a mean over rows, so that the penalty's weight does not depend on the batch size
        count = sum_over_replicas(ops.cast(ops.shape(rows)[0], rows.dtype))
        extra += model.embedding_l2 * ops.sum(ops.square(rows)) / count
    return Forward(
        losses,
        sums,
        None if isinstance(extra, float) and extra == 0.0 else extra,
        z,
    )


def _known(labels: list, weights: list) -> tuple[list, list]:
    """Labels and weights as float32 [B], a label without weight 0."""
    labels = [ops.reshape(ops.cast(label, "float32"), (-1,)) for label in labels]
    weights = [
        ops.ones_like(label) if weight is None else ops.reshape(ops.cast(weight, "float32"), (-1,))
        for label, weight in zip(labels, weights)
    ]
    # 0 × NaN is NaN, and an unknown label is often written so
    labels = [ops.where(w != 0, label, ops.zeros_like(label)) for label, w in zip(labels, weights)]
    return labels, weights
