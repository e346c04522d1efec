"""A search over a recipe's settings, stopped and resumed, on a few hundred rows."""

import json

import numpy as np
import pytest

from pipeline import progress, tuned
from pipeline.recipe import loads

RECIPE = """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns: {a: float, b: float, clicked: {type: int, known: after}, seconds: {type: float, known: after}}
roles: {}
features: {a: {kind: numeric}, b: {kind: numeric}}
tasks:
  click: {kind: binary, label: clicked}
  watch: {kind: regression, label: seconds}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing, units: [8]}, tower_units: []}
weighting: {name: equal}
training:
  batch_size: 64
  epochs: 2
  steps_per_execution: 2
  optimizer: {dense: {learning_rate: 1.0e-9}}
gates: none
tune:
  trials: 2
  seed: 4
  space:
    training.optimizer.dense.learning_rate: {min: 0.05, max: 0.2, log: true}
    training.batch_size: {min: 60, max: 64}
    model.architecture: [{name: hard_sharing, units: [4]}, {name: single_task, units: [4]}]
"""


def arrays(rows: int, seed: int) -> tuple:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 2)).astype("float32")
    labels = {"click": (x[:, 0] > 0).astype("float32"), "watch": (x @ [1.0, 2.0]).astype("float32")}
    ones = {task: np.ones(rows, "float32") for task in labels}
    return {"numbers": x}, labels, ones, ones


def search(folder, recipe=None):
    from mtl_models import Layout
    from pipeline.trials import Trials

    trials = Trials(recipe or loads(RECIPE), Layout.of({}, ["a", "b"]), folder, "search")
    trials.search(train=arrays(512, 1), validation=arrays(256, 2))
    return trials


def told(trials) -> dict:
    """What a search came to, by trial: gain and values."""
    return {
        name: (trial.score, tuned.decoded(trial.hyperparameters.values))
        for name, trial in trials.oracle.trials.items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return search(tmp_path_factory.mktemp("whole"))


def test_the_recipe_as_it_is_comes_first_and_what_learns_beats_it(whole):
    found = told(whole)
    assert list(found) == ["0", "1"]
    gain, values = found["0"]
    assert values["training.optimizer.dense.learning_rate"] == 1e-9 and values["training.batch_size"] == 64
    assert values["model.architecture"]["units"] == [8]
    better, drawn = found["1"]
    assert better > gain + 0.1
    assert 0.05 <= drawn["training.optimizer.dense.learning_rate"] <= 0.2
    assert isinstance(drawn["training.batch_size"], int) and 60 <= drawn["training.batch_size"] <= 64
    assert drawn["model.architecture"]["units"] == [4]
    best = whole.get_best_hyperparameters()[0].values
    assert tuned.decoded(best) == max(found.values(), key=lambda trial: trial[0])[1]


def test_a_search_that_was_stopped_goes_on_and_ends_the_same(whole, tmp_path):
    seen = []

    def stop(text: str, share: float | None) -> None:
        seen.append(text)
        if text.startswith("trial 2 of at most 2, epoch 2"):
            raise KeyboardInterrupt

    progress.listen(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path)
        progress.listen(lambda text, share: seen.append(text))
        seen.clear()
        again = search(tmp_path)
    finally:
        progress.listen(None)
    # neither the first trial again, nor the epochs that were whole
    assert seen[0].startswith("trial 2 of at most 2, epoch 2")
    for name, (gain, values) in told(whole).items():
        assert told(again)[name] == (pytest.approx(gain, abs=1e-6), values)
    assert not list(tmp_path.rglob("*.npz")) and not list(tmp_path.rglob("*.keras"))


def test_a_search_of_which_nothing_came_to_an_end_says_why(tmp_path):
    from pipeline.trials import Trials

    trials = Trials(loads(RECIPE), object(), tmp_path, "search")
    with pytest.raises(RuntimeError, match="none of 2 trials came to an end: .*Error"):
        trials.search(train=arrays(64, 1), validation=arrays(64, 2))


def results(tmp_path, *rows):
    (tmp_path / "tuner_results.json").write_text(json.dumps(rows))
    return tuned.facts(tmp_path, 3)


def test_the_winner_in_words_and_as_a_patch(tmp_path):
    found = results(
        tmp_path,
        {"trial_id": "2", "score": 0.35, "training.epochs": "4", "model.tower_units": "[8, 4]"},
        {"trial_id": "0", "score": 0.3, "training.epochs": "2", "model.tower_units": "[]"},
    )
    assert found["sentence"] == (
        "tuning: of 2 trials (3 asked) number 2 won with a mean gain on validation of 0.3500, +0.0500 over "
        "the recipe as it is: training.epochs=4, model.tower_units=[8, 4]"
    )
    (tmp_path / "tune.yaml").write_text(tuned.patch(found, "20260101T000000Z"))
    patched = loads(RECIPE, settings=[f"@{tmp_path / 'tune.yaml'}"])
    assert (patched.training.epochs, tuple(patched.model.tower_units), patched.tune) == (4, (8, 4), None)


def test_where_nothing_beats_the_recipe_it_is_said(tmp_path):
    found = results(
        tmp_path, {"trial_id": "0", "score": 0.3, "x": "2"}, {"trial_id": "1", "score": 0.1, "x": "3"}
    )
    assert "none beats the recipe as it is, whose mean gain on validation is 0.3000" in found["sentence"]
