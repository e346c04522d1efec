import json

import numpy as np
import pytest

from mtl_models import HardSharing, Layout, MMoE, MultiTaskModel, Task
from mtl_models.training.alarms import alarms
from mtl_models.training.gates import gate_statistics
from mtl_models.training.gradients import gradient_statistics


def gate(entropy=0.8, **mean):
    return {"mean": mean, "load": mean, "entropy": entropy}


def entry(gates=None, norms=None, weights=None):
    norms = norms or {"click": 1.0, "like": 1.0}
    return {
        "gates": gates or {},
        "gradients": {"norms": norms, "cosines": {}},
        "task_weights": weights or dict.fromkeys(norms, 1.0),
    }


def test_nothing_to_say():
    assert alarms(entry({"click": gate(a=0.6, b=0.4), "like": gate(a=0.5, b=0.5)})) == []


def test_an_expert_is_dead_only_if_no_gate_uses_it():
    found = alarms(entry({"click": gate(a=0.5, b=0.49, c=0.01), "like": gate(a=0.4, b=0.4, c=0.2)}))
    assert found == []
    [found] = alarms(entry({"click": gate(a=0.5, b=0.49, c=0.01), "like": gate(a=0.4, b=0.595, c=0.005)}))
    assert found.startswith("expert c is dead") and "try fewer experts" in found


def test_levels_have_experts_of_their_own():
    gates = {"level_1/click": gate(a=0.5, b=0.5), "level_2/click": gate(a=0.985, b=0.015)}
    dead, collapsed = alarms(entry(gates))
    assert dead.startswith("expert b of level_2 is dead")
    assert collapsed.startswith("gate level_2/click has collapsed: expert a has 98.5%")


def test_a_gate_that_does_not_choose():
    [found] = alarms(entry({"click": gate(entropy=0.999, a=0.5, b=0.5)}))
    assert found.startswith("gate click weighs its experts alike") and "try a higher learning rate" in found


def test_one_expert_is_no_alarm():
    assert alarms(entry({"click": gate(entropy=1.0, a=1.0)})) == []


def test_a_dominating_task_by_its_weighted_norm():
    assert alarms(entry(norms={"click": 9.0, "like": 1.0}, weights={"click": 0.1, "like": 1.0})) == []
    [found] = alarms(entry(norms={"click": 9.0, "like": 1.0}))
    assert found.startswith("task click dominates: its weighted gradient norm is 90%")
    assert alarms(entry(norms={"click": 9.0, "like": None}, weights={"click": 1.0, "like": 1.0})) == []


def test_a_weight_at_its_bound():
    [found] = alarms(entry(), {"like": "greatest"})
    assert "task like" in found and "greatest" in found


LAYOUT = Layout.of({"user": 30}, ["age"])
TASKS = [Task("click", "binary", loss_weight=2.0), Task("like", "binary")]


def data(rows=50):
    rng = np.random.default_rng(0)
    x = {"user": rng.integers(0, 30, rows), "age": 5 * rng.normal(size=rows).astype("float32")}
    return x, {t.name: rng.integers(0, 2, rows).astype("float32") for t in TASKS}


def test_gate_statistics_by_hand():
    model = MultiTaskModel(LAYOUT, TASKS, MMoE(experts=3, units=(4,)))
    x, _ = data()
    found = gate_statistics(model, x, batch_size=17)
    weights = model.architecture.gate_weights(model.feature_inputs(LAYOUT.pack(x)))
    for task in ("click", "like"):
        w = np.asarray(weights[task], np.float64)
        np.testing.assert_allclose(list(found[task]["mean"].values()), w.mean(0), rtol=1e-5)
        largest = [(w.argmax(1) == i).mean() for i in range(3)]
        np.testing.assert_allclose(list(found[task]["load"].values()), largest)
        assert found[task]["entropy"] == pytest.approx(-(w * np.log(w)).sum(1).mean() / np.log(3), rel=1e-4)
    assert gate_statistics(MultiTaskModel(LAYOUT, TASKS, HardSharing()), x) == {}


def test_gradient_statistics_are_of_the_gram_matrix():
    model = MultiTaskModel(LAYOUT, TASKS, HardSharing(units=(4,)))
    model.compile("adam")
    x, y = data()
    gram = model.gradient_gram(x, y)
    found = gradient_statistics(model, x, y, None, 50)
    np.testing.assert_allclose(list(found["norms"].values()), np.sqrt(np.diag(gram)), rtol=1e-5)
    cosine = gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1])
    assert found["cosines"] == {"click and like": pytest.approx(cosine, rel=1e-5)}
    assert found["conflicts"] == {"click and like": float(cosine < 0)}
    masked = {"click": np.ones(50, "float32"), "like": np.zeros(50, "float32")}
    found = gradient_statistics(model, x, y, masked, 50)
    assert found["norms"]["like"] is None and found["cosines"] == {"click and like": None}
    y["like"] = y["like"] * 1e30  # its gradient's square overflows
    masked["like"] += 1
    found = json.dumps(gradient_statistics(model, x, y, masked, 50), allow_nan=False)
    assert '"like": null' in found and '"click and like": null' in found
