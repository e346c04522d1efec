"""Each architecture inside `MultiTaskModel`: learning, a masked task, saving and loading."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("MultiTaskModel trains on TensorFlow", allow_module_level=True)

from mtl_models import (
    AITM,
    CGC,
    ESCM2,
    ESMM,
    MTAN,
    PLE,
    CrossStitch,
    HardSharing,
    Layout,
    MMoE,
    MultiTaskModel,
    SingleTask,
    SoftSharing,
    Task,
)

CHAIN = ("click", "buy")
KINDS = {
    "aitm": lambda: AITM(chain=CHAIN, units=(8,)),
    "cgc": lambda: CGC(task_experts=1, shared_experts=1, units=(8,)),
    "cross_stitch": lambda: CrossStitch(units=(8,)),
    "escm2": lambda: ESCM2(chain=CHAIN, units=(8,), imputation_units=(4,)),
    "esmm": lambda: ESMM(chain=CHAIN, units=(8,)),
    "hard_sharing": lambda: HardSharing(units=(8,)),
    "mmoe": lambda: MMoE(experts=2, units=(8,)),
    "mtan": lambda: MTAN(units=(8, 4)),
    "ple": lambda: PLE(task_experts=1, shared_experts=1, units=(8,)),
    "single_task": lambda: SingleTask(units=(8,)),
    "soft_sharing": lambda: SoftSharing(units=(8,)),
}


def data(rows=64):
    rng = np.random.default_rng(0)
    x = {"user": rng.integers(0, 20, rows), "age": rng.normal(size=rows).astype("float32")}
    click = (x["age"] > 0).astype("float32")
    buy = click * (x["user"] % 2)
    y = {"click": click, "buy": buy.astype("float32"), "watch": 3 * x["age"]}
    return x, y, {name: np.ones(rows, "float32") for name in y}


def made(name):
    model = MultiTaskModel(
        Layout.of({"user": 20}, ["age"]),
        [Task("click", "binary"), Task("buy", "binary"), Task("watch", "regression")],
        KINDS[name](),
        tower_units=(4,),
        embedding_dim=4,
        seed=1,
    )
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    return model


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_is_the_same_when_loaded(name, tmp_path):
    model = made(name)
    x, y, w = data()
    losses = [model.train_on_batch(x, y, w, return_dict=True)["loss"] for _ in range(12)]
    assert float(losses[-1]) < float(losses[0])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.architecture.get_config() == model.architecture.get_config()
    before, after = model(x), loaded(x)
    for task in before:
        np.testing.assert_array_equal(after[task], before[task])
    if "esmm" in name or "escm2" in name:
        assert (np.asarray(before["buy"]) <= np.asarray(before["click"])).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_fully_masked_task_moves_nothing(name):
    """A step with wild labels of a task without weight is, to the bit, a step with others."""
    x, y, w = data()
    for absent in ("click", "buy"):
        masked = {**w, absent: np.zeros(64, "float32")}
        ends = []
        for labels in (y[absent], np.full(64, 1.0, "float32")):
            model = made(name)
            model.train_on_batch(x, {**y, absent: labels}, masked)
            ends.append([v.numpy() for v in model.trainable_variables])
        for one, other in zip(*ends):
            np.testing.assert_array_equal(one, other)


def test_a_chain_is_checked_when_the_model_is_made():
    with pytest.raises(
        ValueError, match=r"ESMM: chain \['click', 'cart'\] names \['cart'\].*'click', 'watch'"
    ):
        tasks = [Task("click", "binary"), Task("watch", "regression")]
        MultiTaskModel(Layout.of({"user": 20}), tasks, ESMM(chain=("click", "cart")))


def test_esmm_starts_at_the_base_rates_of_its_tasks():
    tasks = [Task("click", "binary", offset=0.2), Task("buy", "binary", offset=0.01)]
    model = MultiTaskModel(Layout.of({"user": 20}), tasks, ESMM(units=(4,)), tower_units=())
    for head in model.towers.heads:
        head.kernel.assign(0 * head.kernel)
    found = model.predict({"user": np.arange(3)}, verbose=0)
    np.testing.assert_allclose(found["click"], 0.2, rtol=1e-5)
    np.testing.assert_allclose(found["buy"], 0.01, rtol=1e-4)
