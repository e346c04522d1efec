"""The schema beside a recipe is compared with it before anything runs."""

import shutil

import pytest

from pipeline.recipe import RecipeError, load
from pipeline.recipe.schema_file import check_schema


@pytest.mark.parametrize("name", ["demo", "kuairand", "census"])
def test_the_committed_schemas_are_those_of_the_recipes(root, name):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    from pipeline.ingest.schema import schema_proto

    recipe_file = root / "data" / name / "recipe.yaml"
    recipe = load(recipe_file)
    check_schema(recipe, recipe_file)
    committed = text_format.Parse(recipe_file.with_name("schema.pbtxt").read_text(), schema_pb2.Schema())
    assert committed == schema_proto(recipe), (
        f"run: mtl recipe schema data/{name}/recipe.yaml > data/{name}/schema.pbtxt"
    )


def test_a_schema_left_behind(root, tmp_path):
    shutil.copy(root / "data/demo/schema.pbtxt", tmp_path)
    text = (root / "data/demo/recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(
        text.replace("surface: string", "surface: string\n      extra: string").replace(
            "    purchase: {ceiling: p_purchase}\n", ""
        )
    )
    with pytest.raises(RecipeError) as error:
        check_schema(load(tmp_path / "recipe.yaml"), tmp_path / "recipe.yaml")
    assert "lacks extra" in str(error.value) and "has purchase/reference/ceiling" in str(error.value)
    assert "mtl recipe schema" in str(error.value)


def test_no_schema_is_fine(root, tmp_path):
    shutil.copy(root / "data/demo/recipe.yaml", tmp_path)
    check_schema(load(tmp_path / "recipe.yaml"), tmp_path / "recipe.yaml")
