"""What a recipe may say of tasks."""

import pytest
import yaml

from pipeline.recipe import RecipeError, loads
from pipeline.recipe.dump import resolved

COLUMNS = {
    "x": "float",
    "request": "string",
    "length": "float",
    "clicked": {"type": "int", "known": "after"},
    "reaction": {"type": "string", "known": "after"},
    "seconds": {"type": "float", "known": "after"},
}
RECIPE = {
    "version": 1,
    "name": "feed",
    "sources": {"log": {"files": "log.csv", "columns": COLUMNS}},
    "roles": {"request": "request"},
    "features": {"x": {"kind": "numeric"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.1, "test": 0.1},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}
ACTION = {"kind": "multiclass", "label": "reaction", "classes": ["none", "like"]}
STARS = {"kind": "ordinal", "label": "clicked", "classes": 4}
WATCH = {"kind": "regression", "label": "seconds", "loss": "duration_quantile", "duration": "length"}
CLICK = {"kind": "binary", "label": "clicked"}


def load(tasks, **others):
    return loads(yaml.safe_dump({**RECIPE, "tasks": tasks, **others}))


def test_what_is_right():
    gates = [
        {"task": "action", "metric": "macro_f1", "lower": 0.1},
        {"task": "stars", "metric": "quadratic_kappa", "max_drop": 0.1},
        {"task": "stars", "metric": "mae", "upper": 2},
    ]
    click, action = (
        CLICK | {"loss": "listwise", "calibration": "isotonic"},
        ACTION | {"calibration": "temperature"},
    )
    tasks = {"click": click, "action": action, "stars": STARS, "watch": WATCH}
    recipe = load(tasks, gates=gates)
    assert recipe.tasks["stars"].classes == [0, 1, 2, 3]
    assert recipe.side == ("duration", "request") and "length" in recipe.input_columns
    assert recipe.score_weights == {
        "click": 1,
        "stars": 1,
        "watch": 1,
    }  # classes without order have no number
    assert loads(resolved(recipe)).tasks == recipe.tasks
    spend = {"kind": "regression", "label": "seconds", "loss": "ziln"}
    # the name of a side input that no loss reads is free
    numeric = {"duration": {"kind": "numeric", "column": "length"}}
    fixed = {"name": "fixed", "weights": [1, 2]}
    assert load({"c": CLICK, "spend": spend}, weighting=fixed, features=numeric).side == ()
    assert load({"c": CLICK, "spend": spend}, weighting={"name": "upgrad"})
    # a step that knows nothing of losses still knows what examples hold for them, and can be read again
    part = loads(resolved(recipe.part("features")))
    assert part.side == recipe.side and part.tasks["stars"] == recipe.tasks["stars"]
    edited = load(tasks | {"watch": WATCH | {"duration_groups": 5}, "stars": STARS | {"loss": "coral"}})
    assert edited.part("features") == recipe.part("features")
    assert edited.part("tasks") != recipe.part("tasks")


@pytest.mark.parametrize(
    "tasks, others, words",
    [
        (
            {"w": WATCH},
            {"features": {"duration": {"kind": "numeric", "column": "length"}}},
            "features.duration .*as a loss reads the duration; choose another, and say `column: length`",
        ),
        (
            {"c": CLICK, "s": STARS},
            {"weighting": {"name": "fixed", "weights": [1.0]}},
            "weighting.weights .*one number for each of the 2 tasks, in this order: c, s",
        ),
        *(
            (
                {"c": CLICK, "p": {"kind": "regression", "label": "seconds", "loss": "ziln"}},
                {"weighting": {"name": name}},
                f"weighting.name .*{name} needs losses above 0, and loss ziln of p may be below",
            )
            for name in ("dwa", "famo", "gls", "gradnorm", "stch", "uncertainty")
        ),
        ({"a": ACTION | {"classes": ["like"]}}, {}, "tasks.a.classes .*how many classes there are"),
        ({"a": ACTION | {"classes": ["like", 1]}}, {}, "all texts or all whole numbers"),
        ({"a": ACTION | {"classes": ["like", "like"]}}, {}, "each once"),
        ({"a": ACTION | {"classes": [True, False]}}, {}, "in quotes"),
        ({"a": ACTION | {"classes": 1}}, {}, "from 2 to 1000"),
        (
            {"a": ACTION | {"classes": 3}},
            {},
            "tasks.a.label .*is a string; a number is needed, as classes are",
        ),
        (
            {"s": STARS | {"classes": ["low", "high"]}},
            {},
            r"is a int; a text is needed, as classes are \(low",
        ),
        ({"s": STARS | {"loss": "mse"}}, {}, "cumulative_logit"),
        (
            {"c": CLICK | {"gamma": 1.0}},
            {},
            "gamma is a setting of loss focal; here the loss is binary_cross",
        ),
        (
            {"c": CLICK | {"calibration": "plat"}},
            {},
            "tasks.c.calibration .*must be one of 'none', 'platt', 'temp",
        ),
        (
            {"s": {"kind": "regression", "label": "seconds", "calibration": "isotonic"}},
            {},
            "tasks.s.calibration .*a regression predicts a quantity; leave it out",
        ),
        ({"a": ACTION | {"calibration": "platt"}}, {}, "platt maps the one probability .*takes temperature"),
        ({"c": CLICK | {"loss": "listwise"}}, {"roles": {}}, "needs roles.request"),
        ({"w": WATCH | {"duration": None}}, {}, "duration_quantile needs `duration:`"),
        ({"w": WATCH | {"loss": "mse"}}, {}, "duration is read by loss duration_quantile alone"),
        ({"w": WATCH | {"duration": "lenght"}}, {}, "did you mean 'length'"),
        ({"w": WATCH | {"duration": "request"}}, {}, "must be a number; request is string"),
        ({"w": WATCH | {"duration": "clicked"}}, {}, "known only after the impression"),
        (
            {"w": WATCH, "v": WATCH | {"duration": "x"}},
            {},
            "all tasks share one duration; another's is x",
        ),
        (
            {"a": ACTION},
            {"gates": [{"task": "a", "metric": "auc", "lower": 0}]},
            "a is multiclass, which has accuracy, macro_f1, logloss",
        ),
        ({"a": ACTION}, {"serving": {"score": {"a": 1}}}, "no single number"),
        (
            {"c": CLICK, "s": STARS},
            {"serving": {"fusion": "product"}},
            "product takes probabilities; s is ord",
        ),
        ({"s": STARS}, {"evaluation": {"references": {"s": {"other": "x"}}}}, "a reference is one number"),
        (
            {"c": CLICK | {"loss": "focal"}},
            {"downsampling": {"task": "c", "keep": 0.5, "correction": "logit"}},
            "the loss of c is focal, which takes weight",
        ),
    ],
)
def test_what_is_wrong(tasks, others, words):
    with pytest.raises(RecipeError, match=words):
        load(tasks, **others)
