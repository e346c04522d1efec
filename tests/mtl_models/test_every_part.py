"""What holds for every architecture and every weighting, together: fit, save, load, masks, precision, XLA."""

import importlib
import pkgutil

import keras
import numpy as np
import pytest

import mtl_models.architectures
import mtl_models.weighting
from mtl_models import (
    Architecture,
    Layout,
    MultiTaskModel,
    RowAdagrad,
    Task,
    Weighting,
)

LAYOUT = Layout.of({"user": 9, "tags": (5, 2)}, ["age"])
TASKS = [
    Task("click", "binary", loss_weight=2.0),
    Task("watch", "regression", scale=2.0),
    Task("like", "binary"),
]
ROWS = 12


def parts(package, base) -> dict:
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            home = importlib.import_module(f"{package.__name__}.{module.name}")
            [made] = [
                value
                for value in vars(home).values()
                if isinstance(value, type) and issubclass(value, base) and value.__module__ == home.__name__
            ]
            found[module.name] = made
    return found


ARCHITECTURES = parts(mtl_models.architectures, Architecture)
WEIGHTINGS = parts(mtl_models.weighting, Weighting)
# what has no default that fits these tasks
SETTINGS = {
    "esmm": {"chain": ("click", "like")},
    "escm2": {"chain": ("click", "like")},
    "aitm": {"chain": ("click", "like")},
    "fixed": {"weights": (1.0, 0.5, 2.0)},
}


def architecture(name):
    return ARCHITECTURES[name](**SETTINGS.get(name, {}))


def batch(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "user": rng.integers(0, 9, rows),
        "tags": rng.integers(-1, 5, (rows, 2)),
        "age": rng.normal(size=rows).astype("float32"),
    }
    click = rng.integers(0, 2, rows).astype("float32")
    y = {
        "click": click,
        "watch": rng.normal(size=rows).astype("float32"),
        "like": click * rng.integers(0, 2, rows),
    }
    return x, {k: v.astype("float32") for k, v in y.items()}, {k: np.ones(rows, "float32") for k in y}


def model(name="mmoe", weighting="equal", over="representation", jit=False, eager=True, **settings):
    made = MultiTaskModel(
        LAYOUT,
        TASKS,
        architecture(name),
        tower_units=(4,),
        embedding_dim=4,
        embedding_scale=0.3,
        weighting=WEIGHTINGS[weighting](**SETTINGS.get(weighting, {})),
        gram_over=over,
        **settings,
    )
    made.compile(keras.optimizers.SGD(0.05), RowAdagrad(0.05), jit_compile=jit, run_eagerly=eager and not jit)
    return made


def values(made):
    return [v.numpy() for v in made.weights]


def finite(made):
    return all(np.isfinite(v).all() for v in values(made))


# every architecture with one of the weightings in turn, so that all of both are met
PAIRS = [(name, list(WEIGHTINGS)[i % len(WEIGHTINGS)]) for i, name in enumerate([*ARCHITECTURES] * 3)][
    : max(len(ARCHITECTURES), len(WEIGHTINGS))
]


@pytest.mark.parametrize("name, weighting", PAIRS)
def test_trains_saves_loads_and_takes_any_batch(name, weighting, tmp_path):
    made, (x, y, w) = model(name, weighting), batch()
    before = values(made)
    made.train_step((x, y, w))
    assert finite(made)
    assert any((a != b).any() for a, b in zip(before, values(made)))
    made.train_step(batch(rows=1))
    made.train_step((x, y, {k: 0 * v for k, v in w.items()}))  # nothing is known
    assert finite(made)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == made.get_config()
    for task, predicted in made(x).items():
        assert predicted.shape == (ROWS,) and predicted.dtype == "float32"
        np.testing.assert_array_equal(predicted, loaded(x)[task])
        # sums of another order where the batch is another: on some processors 1.6e-5 apart
        np.testing.assert_allclose(predicted[:1], made({k: v[:1] for k, v in x.items()})[task], rtol=1e-3)
    for a, b in zip(made.variables, loaded.variables):
        if "seed_generator" in a.path:  # what was drawn so far is no part of a model's file
            b.assign(a)
    for each in (made, loaded):
        each.train_step((x, y, w))
    for a, b in zip(values(made), values(loaded)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("over", ["representation", "parameters"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_labels_of_a_fully_masked_task_change_nothing(weighting, over):
    if over == "parameters" and not WEIGHTINGS[weighting].needs_gram:
        pytest.skip("it reads no Gram matrix")
    x, y, w = batch()
    w["watch"] = 0 * w["watch"]
    trained = []
    for label in (y["watch"], np.full(ROWS, 1e6, "float32")):
        made = model("hard_sharing", weighting, over)
        own = [v.numpy() for v in made.towers.heads[1].weights]
        for _ in range(2):
            made.train_step((x, {**y, "watch": label}, w))
        trained.append(values(made))
        for variable, was in zip(made.towers.heads[1].weights, own):
            np.testing.assert_array_equal(variable.numpy(), was)
    for a, b in zip(*trained):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shared_weights_move_as_if_a_masked_task_had_no_loss(name):
    x, y, w = batch()
    masked, unweighted = model(name), model(name)
    factors = [t.loss_weight for t in TASKS]
    chained = SETTINGS.get(name, {}).get("chain", ())
    gone = next(i for i, task in enumerate(TASKS) if task.name not in chained)
    absent = TASKS[gone].name
    # the same model, one with a task masked, the other with its loss left out of the total
    unweighted._step.factors = unweighted._step.factors * [float(i != gone) for i in range(len(factors))]
    masked.train_step((x, y, {**w, absent: 0 * w[absent]}))
    unweighted.train_step((x, y, w))
    if type(masked.architecture).penalty is not Architecture.penalty:
        pytest.skip("its penalty reads the task's labels, which only one of the two has")
    for a, b in zip(masked.weights, unweighted.weights):
        if "step_log" not in a.path:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_mixed_precision_is_near_float32(name, policy):
    data = batch()
    exact, rough = model(name), model(name, dtype=policy)
    for a, b in zip(exact.weights, rough.weights):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for task, predicted in exact(data[0]).items():
        found = rough(data[0])[task]
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, predicted, atol=0.05, rtol=0.05)
    assert rough.feature_inputs.table.dtype == "float32"
    if policy == "mixed_float16":
        rough.optimizer.dynamic_scale.assign(256.0)
    rough.train_step(data)
    assert finite(rough)
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(exact.weights, rough.weights))


@pytest.mark.parametrize(
    "name, weighting, over",
    [
        ("ple", "upgrad", "representation"),
        ("mmoe", "cagrad", "parameters"),
        ("hard_sharing", "famo", "representation"),
    ],
)
def test_xla_gives_the_same_training(name, weighting, over):
    data, trained = batch(), []
    for jit in (False, True):
        made = model(name, weighting, over, jit)
        for _ in range(2):
            made.train_on_batch(*data)
        trained.append(values(made))
    for a, b in zip(*trained):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
