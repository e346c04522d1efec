import keras
import numpy as np
import pytest

from mtl_models import Equal, Layout, MMoE, MultiTaskModel, PCGrad, RowAdam, Task, array_batches
from mtl_models.training.array_batches import source_of

ROWS = 300
RNG = np.random.default_rng(0)
LABELS = {"click": RNG.random(ROWS) < 0.3, "watch": RNG.normal(size=ROWS)}
LABELS = {task: values.astype("float32") for task, values in LABELS.items()}
WEIGHTS = {"click": np.ones(ROWS, "float32"), "watch": (RNG.random(ROWS) < 0.7).astype("float32")}


def trained(ids: int, one_by_one: bool, compiled: bool = True, dropout: float = 0.0, weighting=Equal):
    """A model after three epochs of 9 whole batches and one of 12 rows, in executions of 4 steps."""
    layout = Layout.of({"user": ids, "item": ids}, ["age"])
    inputs = {"user": np.arange(ROWS) % ids, "item": np.arange(ROWS) * 7 % ids, "age": LABELS["watch"] + 1}
    model = MultiTaskModel(
        layout,
        [Task("click", "binary"), Task("watch", "regression")],
        MMoE(2, (8,), dropout=dropout),
        embedding_dim=4,
        weighting=weighting(),
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, 30)
    model.compile(keras.optimizers.Adam(rate), RowAdam(rate), steps_per_execution=4, jit_compile=compiled)
    batches = array_batches((layout.pack(inputs), LABELS, WEIGHTS), 32, seed=5)
    if one_by_one:
        batches = batches.map(lambda *batch: batch)
    seen = []
    batch_ends = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: seen.append(step))
    log = model.fit(batches, epochs=3, verbose=0, callbacks=[batch_ends])
    assert int(model.optimizer.iterations) == int(model.embedding_optimizer.iterations) == 30
    return model, log.history, seen


def compare(one, other):
    (model, log, seen), (other_model, other_log, other_seen) = one, other
    assert seen == other_seen and log.keys() == other_log.keys()
    for name, values in log.items():
        np.testing.assert_allclose(values, other_log[name], rtol=2e-4, err_msg=name)
    for ours, theirs in zip(model.weights, other_model.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5, err_msg=ours.path)


def test_many_steps_in_one_program_are_steps_one_by_one():
    compare(trained(40, False), trained(40, True, compiled=False))


@pytest.mark.slow
@pytest.mark.parametrize("ids", [40, 3000])  # a table that is updated as a whole, and one row by row
def test_draws_and_gradients_of_tasks_are_those_of_steps_one_by_one(ids):
    settings = {"dropout": 0.1, "weighting": PCGrad}
    compare(trained(ids, False, **settings), trained(ids, True, **settings))


@pytest.mark.parametrize("shuffle", [True, False])
def test_orders_are_those_of_the_dataset(shuffle):
    dataset, other = (array_batches(np.arange(20), 8, seed=5, shuffle=shuffle) for _ in range(2))
    for _ in range(2):
        seen = [batch.numpy().tolist() for batch in dataset]
        iter(dataset)  # as Keras' loop does where an epoch ends
        assert [rows.tolist() for rows in source_of(other).next_epoch()] == seen


def test_only_what_array_batches_made_without_groups_has_a_source():
    batches = array_batches(np.arange(10), 4)
    assert source_of(batches).data.shape == (10,)
    assert source_of(batches.take(1)) is None
    assert source_of(array_batches(np.arange(10), 4, groups=np.arange(10))) is None
