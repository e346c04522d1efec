"""A YAML file laid over a recipe with `--set @FILE`."""

from pathlib import Path

import pytest

from pipeline.recipe import RecipeError, load

RECIPE = Path(__file__).parents[3] / "data/demo/recipe.yaml"


@pytest.fixture
def patch(tmp_path):
    def write(text: str) -> str:
        (tmp_path / "patch.yaml").write_text(text, encoding="utf-8")
        return f"@{tmp_path / 'patch.yaml'}"

    return write


def test_mappings_go_over_key_by_key_and_the_rest_takes_its_place(patch):
    found = load(
        RECIPE, [patch("serving: {score: {like: 3}, fusion: product}\nevaluation: {slices: [hour]}\n")]
    )
    assert found.serving.score == {"click": 1, "like": 3, "purchase": 5}
    assert found.serving.fusion == "product"
    assert found.evaluation.slices == ["hour"] and found.evaluation.references  # beside it, kept


def test_the_last_override_counts(patch):
    over = patch("training: {epochs: 3}\n")
    assert load(RECIPE, ["training.epochs=4", over]).training.epochs == 3
    assert load(RECIPE, [over, "training.epochs=4"]).training.epochs == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training:\n  epochs: many\n", r"patch.yaml training.epochs \(line 2\): .*whole number.*'many'"),
        ("serving:\n  score:\n    clik: 1\n", r"patch.yaml serving.score.clik \(line 3\): .*mean 'click'"),
        (
            "training: {epochs: 2}\ntraining: {epochs: 3}\n",
            r"patch.yaml training \(line 2\): is written twice",
        ),
        ("- 1\n", "patch.yaml: must be a mapping, beginning with a section of a recipe"),
        ("a: [1\n", r"patch.yaml \(line 2\): is not YAML"),
    ],
)
def test_a_mistake_is_at_its_line_of_the_patch(patch, text, told):
    with pytest.raises(RecipeError, match=told):
        load(RECIPE, [patch(text)])


def test_a_patch_that_is_not_there():
    with pytest.raises(RecipeError, match="--set @no.yaml: cannot be read: No such file"):
        load(RECIPE, ["@no.yaml"])


def test_what_the_recipe_says_wrong_is_still_at_its_own_line(patch, tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.read_text().replace("epochs: 9", "epochs: none"))
    with pytest.raises(RecipeError, match=r"  training.epochs \(line \d\d\d\): ") as error:
        load(tmp_path / "recipe.yaml", [patch("training: {batch_size: 64}\n")])
    assert "patch.yaml" not in str(error.value)
