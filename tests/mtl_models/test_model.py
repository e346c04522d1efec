import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_models import (
    DWA,
    PLE,
    HardSharing,
    Layout,
    MMoE,
    MultiTaskModel,
    RowAdagrad,
    RowAdam,
    Task,
    Uncertainty,
    array_batches,
)

LAYOUT = Layout.of({"user": 40, "item": 30, "tags": (12, 3)}, ["age"], {"title": 4})
TASKS = [Task("click", "binary", offset=0.4), Task("watch", "regression", "mae", offset=5.0, scale=2.0)]
N = 512


def data(seed=0, rows=N):
    rng = np.random.default_rng(seed)
    x = {
        "user": rng.integers(0, 40, rows),
        "item": rng.integers(0, 30, rows),
        "tags": rng.integers(-1, 12, (rows, 3)),
        "age": rng.normal(size=rows).astype("float32"),
        "title": rng.normal(size=(rows, 4)).astype("float32"),
    }
    y = {
        "click": (x["age"] + (x["user"] % 2) > 0.5).astype("float32"),
        "watch": (5 + 2 * x["age"]).astype("float32"),
    }
    return x, y, {"click": np.ones(rows, "float32"), "watch": y["click"]}


def model(architecture=None, embedding="adam", clip_norm=None, jit=False, **settings):
    made = MultiTaskModel(
        LAYOUT,
        TASKS,
        architecture or MMoE(experts=3, units=(8,)),
        tower_units=(4,),
        **{"embedding_dim": 4, "seed": 7, **settings},
    )
    made.compile(
        keras.optimizers.Adam(0.01),
        RowAdam(0.01) if embedding == "adam" else RowAdagrad(0.1),
        clip_norm=clip_norm,
        jit_compile=jit,
    )
    return made


def weights_of(made):
    return [v.numpy() for v in made.weights]


def assert_same(left, right, **tolerance):
    assert len(left) == len(right)
    for a, b in zip(left, right):
        np.testing.assert_allclose(a, b, **tolerance) if tolerance else np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "architecture",
    [lambda: HardSharing(units=(8,)), lambda: MMoE(experts=2, units=(8,)), lambda: PLE(units=(8,))],
)
def test_learns_every_task_and_predicts_in_label_units(architecture):
    made = model(architecture(), weighting=Uncertainty(), interactions=[("user", "item")], dropout=0.05)
    x, y, w = data()
    log = made.fit(array_batches((x, y, w), 64), epochs=15, verbose=0).history
    assert set(log) == {"loss", "click_loss", "watch_loss", "click_weight", "watch_weight"}
    assert log["click_loss"][-1] < 0.5 * log["click_loss"][0]
    predictions = made.predict(x, verbose=0)
    assert predictions["click"].shape == predictions["watch"].shape == (N,)
    assert ((predictions["click"] >= 0) & (predictions["click"] <= 1)).all()
    clicked = y["click"] == 1
    assert np.abs(predictions["watch"] - y["watch"])[clicked].mean() < 0.5


def test_forward_pass_by_hand():
    made = model(HardSharing(units=(6,)))
    x, _, _ = data(rows=5)
    packed = {k: np.asarray(v) for k, v in LAYOUT.pack(x).items()}
    h = np.asarray(made.feature_inputs(packed))
    h = np.maximum(h @ made.architecture.bottom.kernels[0].numpy()[0], 0)
    logits = []
    for task in range(2):
        tower = np.maximum(h @ made.towers.stack.kernels[0].numpy()[task], 0)
        head = made.towers.heads[task]
        logits.append((tower @ head.kernel.numpy() + head.bias.numpy())[:, 0])
    out = made(x)
    np.testing.assert_allclose(out["click"], 1 / (1 + np.exp(-logits[0])), rtol=1e-5)
    np.testing.assert_allclose(out["watch"], 5 + 2 * logits[1], rtol=1e-5)


def test_loss_by_hand_and_its_logs():
    made = model(MMoE(experts=2, units=(8,)), embedding_l2=0.1, weighting=Uncertainty(initial=0.5))
    x, y, w = data(rows=16)
    out = {k: np.asarray(v, "float64") for k, v in made(x).items()}
    click = -np.mean(np.where(y["click"] == 1, np.log(out["click"]), np.log(1 - out["click"])))
    watch = np.average(np.abs(out["watch"] - y["watch"]) / 2, weights=w["watch"])
    penalty = 0.1 * np.square(made.feature_inputs.lookup(LAYOUT.pack(x))).sum() / 16
    weights = np.exp(-0.5) * np.array([1, 0.5])
    log = made.evaluate(x, y, sample_weight=w, batch_size=16, verbose=0, return_dict=True)
    assert log["click_loss"] == pytest.approx(click, rel=1e-5)
    assert log["watch_loss"] == pytest.approx(watch, rel=1e-5)
    assert log["click_weight"] == pytest.approx(weights[0])
    assert log["watch_weight"] == pytest.approx(weights[1])
    assert log["loss"] == pytest.approx(weights @ [click, watch] + 2 * 0.25 + penalty, rel=1e-5)


@pytest.mark.parametrize("weighting", [lambda: None, Uncertainty])
def test_a_fully_masked_task_contributes_exactly_nothing(weighting):
    x, y, w = data(rows=32)
    w["watch"] = np.zeros(32, "float32")
    trained, logs = [], []
    for label in (y["watch"], np.full(32, 1e6, "float32"), np.full(32, np.nan, "float32")):
        made = model(PLE(levels=1, task_experts=1, shared_experts=1, units=(8,)), weighting=weighting())
        made.compile(keras.optimizers.SGD(0.1), RowAdam(0.01), run_eagerly=True)
        before = [v.numpy() for v in made.dense_variables()]
        logs.append({k: float(v) for k, v in made.train_step((x, {**y, "watch": label}, w)).items()})
        trained.append(weights_of(made))
    assert_same(*trained[:2])
    assert_same(*trained[1:])
    assert logs[0] == logs[1] == logs[2] and logs[0]["watch_loss"] == 0
    assert logs[0]["loss"] == pytest.approx(logs[0]["click_loss"], rel=1e-6)
    own = [v.path for v in made.towers.heads[1].weights]
    for variable, was in zip(made.dense_variables(), before):
        if variable.path in own:
            np.testing.assert_array_equal(variable.numpy(), was)
        if "log_variances" in variable.path:
            assert variable.numpy()[1] == was[1] and variable.numpy()[0] != was[0]


@pytest.mark.parametrize(
    "optimizer, moved", [("SGD", 0.0), ("Adagrad", 0.0), ("Adam", 0.9 / 1.9 * (1.999 / 0.999) ** 0.5)]
)
def test_what_a_masked_tasks_own_tower_still_does_is_its_optimizers_memory(optimizer, moved):
    """Its gradient is 0: of Adam's second step then what it remembers of the first is left."""
    made = model(HardSharing(units=(8,)))
    made.compile(getattr(keras.optimizers, optimizer)(0.01), run_eagerly=True)
    x, y, w = data(rows=32)
    kernel, at = made.towers.heads[1].kernel, []
    for weights in (w, {**w, "watch": np.zeros(32, "float32")}):
        at.append(kernel.numpy())
        made.train_step((x, y, weights))
    first, second = at[1] - at[0], kernel.numpy() - at[1]
    reached = np.abs(first) > 1e-4
    assert reached.any()
    np.testing.assert_allclose(second[reached], moved * first[reached], rtol=0.01)


@pytest.mark.parametrize("embedding, stays", [("adagrad", True), ("adam", False)])
def test_rows_of_a_batch_in_which_nothing_is_known(embedding, stays):
    made = model(embedding=embedding)
    x, y, w = data(rows=32)
    made.train_step((x, y, w))
    before = made.feature_inputs.table.numpy()
    made.train_step((x, y, {k: 0 * v for k, v in w.items()}))
    assert (made.feature_inputs.table.numpy() == before).all() == stays


def test_batch_of_one_and_nothing_known_leave_weights_finite():
    made = model()
    x, y, w = data(rows=1)
    made.fit(x, y, sample_weight={k: 0 * v for k, v in w.items()}, batch_size=1, verbose=0)
    made.fit(x, y, batch_size=1, verbose=0)
    assert all(np.isfinite(v).all() for v in weights_of(made))


def test_named_columns_train_as_packed_inputs_do():
    x, y, w = data()
    packed = {k: np.asarray(v) for k, v in LAYOUT.pack(x).items()}
    trained = []
    for inputs in (x, packed):
        made = model()
        made.fit(inputs, y, sample_weight=w, batch_size=64, epochs=2, shuffle=False, verbose=0)
        trained.append(weights_of(made))
    assert_same(*trained)


def test_same_seed_same_training_and_another_seed_another():
    x, y, w = data()
    trained = []
    for seed in (7, 7, 8):
        made = model(PLE(units=(8,), dropout=0.2), seed=seed, dropout=0.1)
        made.fit(array_batches((x, y, w), 64, seed=1), epochs=2, verbose=0)
        trained.append(weights_of(made))
    assert_same(trained[0], trained[1])
    assert not np.allclose(trained[0][0], trained[2][0])


@pytest.mark.parametrize("embedding", ["adam", "adagrad"])
def test_rows_that_no_batch_names_stay(embedding):
    made = model(embedding=embedding, embedding_l2=0.1)
    x, y, w = data()
    x["user"] = x["user"] % 10
    before = made.feature_inputs.table.numpy()
    made.fit(x, y, sample_weight=w, batch_size=64, verbose=0)
    after = made.feature_inputs.table.numpy()
    np.testing.assert_array_equal(after[10:40], before[10:40])
    assert (after[:10] != before[:10]).any(axis=1).all()


def test_clip_norm_bounds_the_whole_gradient():
    # plain gradient descent of rate 1 moves the weights by the gradient itself
    made = model()
    made.compile(keras.optimizers.SGD(1.0), RowAdagrad(0.0), clip_norm=1e-3)
    x, y, w = data()
    before = [v.numpy() for v in made.dense_variables()]
    made.train_step((x, y, w))
    moved = np.sqrt(sum(np.square(v.numpy() - b).sum() for v, b in zip(made.dense_variables(), before)))
    assert 0 < moved <= 1.001e-3


def test_uncertainty_stays_in_its_range_in_training():
    made = model(weighting=Uncertainty(initial=0.0, minimum=-0.01, maximum=0.01))
    x, y, w = data()
    made.fit(x, y, sample_weight=w, batch_size=64, epochs=3, verbose=0)
    s = made.weighting.log_variances.numpy()
    assert np.abs(s).max() == pytest.approx(0.01)


def test_xla_gives_the_same_training():
    x, y, w = data()
    trained = []
    for jit in (False, True):
        made = model(jit=jit)
        made.fit(x, y, sample_weight=w, batch_size=128, shuffle=False, verbose=0)
        trained.append(weights_of(made))
    assert_same(*trained, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "architecture",
    [lambda: HardSharing(units=(8,)), lambda: MMoE(experts=2, units=(8,)), lambda: PLE(units=(8,))],
)
def test_keras_save_and_load_continue_training_alike(tmp_path, architecture):
    made = model(architecture(), weighting=Uncertainty(), interactions="all", vector_units=3, clip_norm=1.0)
    x, y, w = data()
    made.fit(x, y, sample_weight=w, batch_size=64, shuffle=False, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == made.get_config()
    for each in (made, loaded):
        each.fit(x, y, sample_weight=w, batch_size=64, shuffle=False, verbose=0)
    a, b = made.predict(x, verbose=0), loaded.predict(x, verbose=0)
    for task in a:
        np.testing.assert_allclose(a[task], b[task], rtol=1e-5, atol=1e-6)


def test_a_model_that_is_not_compiled_is_saved_and_loaded(tmp_path):
    made = MultiTaskModel(LAYOUT, TASKS, MMoE(experts=2, units=(8,)), tower_units=(4,), seed=3)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    x, y, w = data(rows=8)
    for task, values in made(x).items():
        np.testing.assert_array_equal(loaded(x)[task], values)
    loaded.compile("sgd")
    loaded.fit(x, y, sample_weight=w, verbose=0)


def test_saved_model_of_a_module_that_holds_it(tmp_path):
    made = model()
    x, y, w = data(rows=64)
    made.fit(x, y, sample_weight=w, verbose=0)

    class Server(tf.Module):
        def __init__(self):
            self.model = made

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 5), tf.int64),
                tf.TensorSpec((None, 1)),
                tf.TensorSpec((None, 4)),
            ]
        )
        def serve(self, ids, numbers, title):
            return self.model({"ids": ids, "numbers": numbers, "vector_title": title}, training=False)

    server = Server()
    tf.saved_model.save(server, str(tmp_path), signatures={"serving_default": server.serve})
    packed = LAYOUT.pack(x)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](
        ids=packed["ids"], numbers=packed["numbers"], title=packed["vector_title"]
    )
    for task, values in made.predict(x, verbose=0).items():
        np.testing.assert_allclose(served[task], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layout, x",
    [
        (Layout.of({"user": 5}), {"user": np.arange(4)}),
        (Layout.of(numbers=["age"]), {"age": np.arange(4.0)}),
        (Layout.of(vectors={"title": 2}), {"title": np.ones((4, 2))}),
    ],
)
def test_layouts_with_one_kind_of_feature(layout, x):
    made = MultiTaskModel(layout, [TASKS[0]], HardSharing(units=(4,)), embedding_l2=0.1)
    made.compile(clip_norm=1.0)
    made.fit(x, {"click": np.ones(4)}, verbose=0)
    assert made.predict(x, verbose=0)["click"].shape == (4,)


def test_gate_use_is_the_mean_over_rows():
    made = model(PLE(levels=2, units=(8,)))
    x, _, _ = data(rows=100)
    use = made.gate_use(x, batch_size=33)
    weights = made.architecture.gate_weights(made.feature_inputs(LAYOUT.pack(x)))
    assert list(use) == ["level_1/click", "level_1/watch", "level_1/shared", "level_2/click", "level_2/watch"]
    for gate, experts in use.items():
        np.testing.assert_allclose(list(experts.values()), np.mean(weights[gate], 0), rtol=1e-4)
    assert model(HardSharing()).gate_use(x) == {}


def test_says_what_is_missing():
    x, y, w = data(rows=8)
    made = model()
    with pytest.raises(KeyError, match="missing: watch"):
        made.train_step((x, {"click": y["click"]}, w))
    with pytest.raises(ValueError, match="distinct names"):
        MultiTaskModel(LAYOUT, [TASKS[0], TASKS[0]], MMoE())


def test_says_what_is_wrong_with_labels_and_weights():
    made, (x, y, w) = model(), data(rows=8)
    with pytest.raises(TypeError, match=r"labels must be a dict from task to \[B\] \(click, watch\)"):
        made.train_step((x, y["click"], None))
    with pytest.raises(TypeError, match="sample weights must be a dict"):
        made.train_step((x, y, w["click"]))
    with pytest.raises(KeyError, match="sample weights name 'clik', but the tasks are click, watch"):
        made.train_step((x, y, {"clik": w["click"]}))


def test_says_what_is_no_part_of_a_model():
    with pytest.raises(TypeError, match="tasks must be instances of Task.*one is 'click'"):
        MultiTaskModel(LAYOUT, ["click"], HardSharing())
    with pytest.raises(TypeError, match="architecture must be an instance.*it is 'mmoe'"):
        MultiTaskModel(LAYOUT, TASKS, "mmoe")
    with pytest.raises(TypeError, match="it is <class .*HardSharing'>"):
        MultiTaskModel(LAYOUT, TASKS, HardSharing)
    with pytest.raises(TypeError, match="weighting must be an instance"):
        model(weighting="uncertainty")
    with pytest.raises(ValueError, match="needs losses above 0"):
        MultiTaskModel(LAYOUT, [Task("spend", "regression", "ziln")], HardSharing(), weighting=Uncertainty())


@pytest.mark.parametrize(
    "setting", [{"embedding_dim": 0}, {"tower_units": (8, 0)}, {"embedding_l2": -1.0}, {"tower_dropout": 1.0}]
)
def test_settings_out_of_bounds_are_refused(setting):
    [name] = setting
    with pytest.raises(ValueError, match=f"MultiTaskModel: {name} must be between"):
        MultiTaskModel(LAYOUT, TASKS, HardSharing(), **setting)


def test_an_optimizer_that_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match="use_ema: the embedding table has an optimizer of its own"):
        model().compile(keras.optimizers.Adam(0.01, use_ema=True))
    taken = model().embedding_optimizer
    with pytest.raises(ValueError, match="already the optimizer of another table"):
        model().compile("adam", taken)


def test_a_list_of_callbacks_may_be_keras_own():
    x, y, w = data(rows=8)
    made, ends = model(weighting=DWA()), []
    given = keras.callbacks.CallbackList(
        [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(epoch))], model=made
    )
    for _ in range(2):
        made.fit(x, y, sample_weight=w, verbose=0, callbacks=given)
    assert ends == [0, 0] and made.weighting.epochs.numpy().tolist() == [2, 2]


def test_the_positions_tower_is_not_what_tasks_share():
    made = model(HardSharing((4,)), position="item", position_tasks=("click",))
    tower = made.feature_inputs.position_bias.kernel
    assert any(v is tower for v in made.dense_variables())
    assert not any(v is tower for v in made.shared_variables())


def test_a_position_counts_in_training_and_not_in_predictions():
    made = model(HardSharing((4,)), position="item", position_tasks=("click",), position_dropout=0.0)
    made.compile(keras.optimizers.SGD(1.0), RowAdagrad(1.0), run_eagerly=True)
    x, y, w = data(rows=64)
    y["click"] = (x["item"] < 15).astype("float32")  # all that tells rows apart is where they stood
    losses = made.fit(x, y, sample_weight=w, batch_size=64, epochs=8, verbose=0).history["click_loss"]
    assert losses[-1] < 0.9 * losses[0]
    moved = {**x, "item": (x["item"] + 15) % 30}
    for task, predicted in made.predict(x, verbose=0).items():
        np.testing.assert_array_equal(predicted, made.predict(moved, verbose=0)[task])


def test_gradients_need_a_compiled_model():
    x, y, w = data(rows=8)
    with pytest.raises(ValueError, match="needs a compiled model"):
        MultiTaskModel(LAYOUT, TASKS, HardSharing()).gradient_gram(x, y, w)
