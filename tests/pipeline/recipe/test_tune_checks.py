"""What a search space may hold."""

from pathlib import Path

import pytest

from pipeline.plan import tried_recipes
from pipeline.recipe import RecipeError, load
from pipeline.recipe.space import value_at, with_values

RECIPE = Path(__file__).parents[3] / "data/demo/recipe.yaml"


def tune(space: str):
    return load(RECIPE, [f"tune={{space: {space}}}"])


def test_settings_of_all_that_is_trained():
    recipe = tune(
        "{training.optimizer.dense.learning_rate: {min: 0.0001, max: 0.01, log: true},"
        " training.batch_size: {min: 256, max: 1024}, training.clip_norm: [1, 5],"
        " model.tower_units: [[16], [32, 16]], tasks.watch_time.loss_weight: [0.05, 0.2],"
        " weighting: [{name: pcgrad}, {name: equal}]}"
    )
    assert recipe.tune.trials == 20
    assert value_at(recipe, "training.batch_size") == 512 and value_at(recipe, "training.clip_norm") is None
    other = with_values(recipe, {"weighting": {"name": "pcgrad"}, "tasks.watch_time.loss_weight": 0.05})
    assert (other.weighting.name, other.tasks["watch_time"].loss_weight) == ("pcgrad", 0.05)
    assert recipe.weighting.name == "equal"
    # the code of each part that may win is in the digests that steps are cached by
    assert [r.weighting.name for r in tried_recipes(recipe)] == ["equal", "pcgrad", "equal"]


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("{training.epoch: [1, 2]}", "tune.space.training.epoch: is not a setting of this recipe"),
        ("{training.optimizer.dens.rate: [1, 2]}", "is not a setting of this recipe"),
        (
            "{features.hour.kind: [a, b]}",
            "is not a setting to tune: name one of model, weighting or training",
        ),
        ("{tasks.click.label: [a, b]}", "is not a setting to tune"),
        ("{training.seed: [1, 2]}", "would win by luck or by a softer judge"),
        ("{training.stopping.objective: [{click: 1}, {like: 1}]}", "would win by luck or by a softer judge"),
        ("{training.batch_size: [64, 0]}", r"tune.space.training.batch_size.1.*greater than or equal to 1"),
        ("{training.batch_size: [64]}", "at least 2 values"),
        ("{training.batch_size: {min: 64, max: 8}}", "min must be below max"),
        ("{training.clip_norm: {min: 0, max: 8, log: true}}", "log needs min above 0"),
        ("{training.clip_norm: {min: -1, max: 8}}", r"tune.space.training.clip_norm.min.*greater than 0"),
        ("{training.clip_norm: {min: a, max: 8}}", r"clip_norm.min: must be a number \[got 'a'\]"),
        ("{weighting: [{name: equal}, {name: nothing}]}", "tune.space.weighting.1"),
        (
            "{weighting: [{name: equal}, {name: pcgrad}], weighting.name: [equal, dwa]}",
            "is a part of weighting",
        ),
        (
            "{model.architecture: [{name: mmoe}, {name: aitm, chain: [click, watch_time]}]}",
            "takes binary tasks",
        ),
        ("{}", "tune.space"),
        ("{training.epochs: 3}", "tune.space.training.epochs: must be a list"),
        (
            "{training.epochs: {min: 1, mox: 3, max: 2}}",
            "tune.space.training.epochs.mox: is not a setting here",
        ),
    ],
)
def test_what_it_may_not(space, told):
    with pytest.raises(RecipeError, match=told) as caught:
        tune(space)
    assert len(caught.value.problems) == 1
