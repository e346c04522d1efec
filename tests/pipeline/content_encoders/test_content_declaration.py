"""What `encoder.yaml` may say, and what a recipe may say of encoders."""

import pytest

from pipeline.content_encoders.declaration import read_declaration
from pipeline.ingest.errors import DataError
from pipeline.recipe.encoders import Encoder

IMAGE = "version: 1\nkind: image\ndimension: 3\nimage: {size: [4, 4], resize: 8}\n"


@pytest.mark.parametrize(
    "text, said",
    [
        (IMAGE.replace("kind: image", "kind: sound"), "kind: Input should be 'image' or 'text'"),
        (IMAGE.replace("resize: 8", "resize: 2"), "resize is at least 4"),
        (IMAGE.replace("resize: 8", "resize: 8, std: [1, 0, 1]"), "std must not hold 0"),
        (IMAGE + "pooling: mean\n", "pooling is over tokens"),
        (IMAGE + "colour: red\n", "colour: Extra inputs"),
        (IMAGE + "text: {}\n", "no `text:`"),
        ("version: 1\nkind: text\ndimension: 3\n", "needs `text:`"),
        ("- a list", "the file: "),
        ("a: b: c", "cannot be read"),
    ],
)
def test_mistakes_are_told_with_the_file(tmp_path, text, said):
    (tmp_path / "encoder.yaml").write_text(text)
    with pytest.raises(DataError) as error:
        read_declaration(tmp_path)
    assert said in str(error.value) and "encoder.yaml" in str(error.value)


def test_a_folder_without_a_declaration_says_what_it_is_for(tmp_path):
    with pytest.raises(DataError, match="has no encoder.yaml, which says how"):
        read_declaration(tmp_path)


def test_a_built_in_encoder_has_its_dimension():
    assert Encoder(uri="builtin:minilm").dimension == 384
    with pytest.raises(ValueError, match="gives 1280 numbers, not 7"):
        Encoder(uri="builtin:efficientnet_lite0", dimension=7)
    with pytest.raises(ValueError, match="there are builtin:minilm, builtin:efficientnet_lite0"):
        Encoder(uri="builtin:bert", dimension=7)
    with pytest.raises(ValueError, match="dimension must be written"):
        Encoder(uri="encoders/mine")
