"""Every architecture and every weighting of `mtl_models` is one that a recipe can name."""

import pytest

from pipeline.recipe import RecipeError, constructors, loads


def weighted(root, weighting):
    return (root / "data/demo/recipe.yaml").read_text().replace("\nweighting: {name: equal}\n", weighting)


def recipe(root, architecture):
    text = (root / "data/demo/recipe.yaml").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("  architecture:")]
    return text.replace(line, f"  architecture: {architecture}")


@pytest.mark.parametrize("name", constructors.part_names("architectures"))
def test_it_loads_with_defaults(name, root):
    settings = constructors.part_settings("architectures", name)
    # the demo has a task that is not binary, so that a chain must name those that are
    given = {"chain": ("click", "purchase")} if "chain" in settings.model_fields else {}
    listed = ", chain: [click, purchase]" if given else ""
    architecture = loads(recipe(root, f"{{name: {name}{listed}}}")).model.architecture
    assert architecture.name == name
    assert settings(**given).model_dump() == architecture.model_dump(exclude={"name"})
    assert all(field.description for field in settings.model_fields.values())


@pytest.mark.parametrize("name", constructors.part_names("weighting"))
def test_a_weighting_loads_with_defaults(name, root):
    settings = constructors.part_settings("weighting", name)
    given = {"weights": (1.0, 2.0, 0.5, 1.0)} if name == "fixed" else {}
    listed = "".join(f", {key}: {list(value)}" for key, value in given.items())
    weighting = loads(weighted(root, f"\nweighting: {{name: {name}{listed}}}\n")).weighting
    assert weighting.name == name
    assert settings(**given).model_dump() == weighting.model_dump(exclude={"name"})
    assert all(field.description for field in settings.model_fields.values())


def test_a_chain_of_tasks_and_what_a_setting_may_not_be(root):
    given = "{name: escm2, chain: [click, purchase], estimator: ips, min_propensity: 0.01}"
    architecture = loads(recipe(root, given)).model.architecture
    assert architecture.chain == ("click", "purchase") and architecture.estimator == "ips"
    with pytest.raises(RecipeError, match="min_propensity"):
        loads(recipe(root, "{name: escm2, chain: [click, purchase], min_propensity: 2}"))
    with pytest.raises(RecipeError, match="chain"):
        loads(recipe(root, "{name: esmm, chain: click}"))
