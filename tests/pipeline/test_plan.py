"""A plan as a step elsewhere reads it."""

from dataclasses import replace
from pathlib import Path

from pipeline.plan import Plan
from pipeline.recipe import load
from pipeline.spans.resolve import SpanRun
from pipeline.warm_start import Base, Beginning


def test_it_comes_back_as_it_was(root):
    recipe = load(root / "data/demo/recipe.yaml", ("training.epochs=3",))
    home = Path("/gcs/shop-bucket/mtl/demo")
    base = Base("7", "20240229T020000Z", "2024-02-28", home / "runs/20240229T020000Z", "f00d")
    window = ("2024-02-27", "2024-02-28")
    span = SpanRun(19782, "2024-02-29", (), window, ("2024-02-26",), "beef", {"items": ["2024-02-27"]})
    plan = Plan(
        recipe=recipe,
        input_dir=Path("/gcs/shop-bucket/logs"),
        home=home,
        run="20240301T020000Z",
        content="c0de",
        schema="feature {}\n",
        baseline=home / "serving/7",
        started="2024-03-01T02:00:00+00:00",
        span=span,
        beginning=Beginning(base, "", 2, 7),
    )
    assert Plan.from_json(plan.as_json()) == plan
    first = replace(plan, baseline=None, span=None, beginning=Beginning(None, "no version serves yet", 0, 7))
    assert Plan.from_json(first.as_json()) == first
    assert Plan.from_json(replace(first, beginning=None).as_json()).beginning is None
