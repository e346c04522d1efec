"""Models in their formats: the same numbers as NumPy, and what is said of one that does not fit."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.content_encoders.declaration import Declaration, ImageInput, TextInput
from pipeline.content_encoders.models import find_model, load_model
from pipeline.ingest.errors import DataError

CONTENT = Path(__file__).parent / "content"
DECLARED = Declaration(
    version="1", kind="image", dimension=3, image=ImageInput(size=(4, 4), resize="stretch")
)
PICTURES = np.random.default_rng(2).random((5, 4, 4, 3), np.float32)


def test_keras_and_savedmodel_and_onnx(encoders):
    found = load_model(encoders / "colour" / "model.keras", DECLARED)({"image": PICTURES})
    assert np.allclose(found, PICTURES.mean((1, 2)), atol=1e-6)

    texts = {"text": np.array(["abc", "ünïcödé text"], object)}
    declared = Declaration(version="1", kind="text", dimension=2, text=TextInput())
    folder = encoders / "letters"
    assert load_model(find_model(folder, declared), declared)(texts).tolist() == [[3, 0], [16, 1]]

    pytest.importorskip("onnxruntime", reason="`make setup EXTRAS=encoders` brings it")
    found = load_model(CONTENT / "tiny.onnx", DECLARED)({"image": PICTURES})
    assert np.allclose(found, PICTURES.mean((1, 2)) * [1, 2, -1], atol=1e-6)


def test_several_inputs_go_by_name_and_one_output_is_chosen(tmp_path):
    import keras

    ids, mask = (keras.Input((None,), name=name, dtype="int64") for name in ("input_ids", "attention_mask"))
    pair = keras.ops.cast(keras.ops.stack([ids * mask, mask], -1), "float32")
    keras.Model({"attention_mask": mask, "input_ids": ids}, {"tokens": pair, "half": pair / 2}).save(
        tmp_path / "model.keras"
    )
    inputs = {name: np.array([[3, 4]]) for name in ("input_ids", "token_type_ids")}
    inputs["attention_mask"] = np.array([[1, 0]])
    text = dict(version="1", kind="text", dimension=2, text=TextInput(tokenizer="tokenizer.json"))
    path = find_model(tmp_path, Declaration(**text))
    assert load_model(path, Declaration(**text, output="half"))(inputs).tolist() == [[[1.5, 0.5], [0, 0]]]
    with pytest.raises(DataError, match="has outputs tokens, half; `output:` in encoder.yaml chooses"):
        load_model(path, Declaration(**text))(inputs)
    with pytest.raises(DataError, match="wants the input input_ids|wants the input attention_mask"):
        load_model(path, Declaration(**text, output="half"))({"image": PICTURES})


def test_a_sequential_model_is_one_once_it_is_built(tmp_path):
    import keras

    layers = [keras.layers.GlobalAveragePooling2D(name="mean")]
    begun = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    called, neither = keras.Sequential(layers), keras.Sequential([keras.layers.Dense(3)])
    called(PICTURES)
    for model in (begun, called):
        model.save(tmp_path / "model.keras")
        found = load_model(tmp_path / "model.keras", DECLARED)({"image": PICTURES})
        assert np.allclose(found, PICTURES.mean((1, 2)), atol=1e-6)
    with pytest.warns(UserWarning, match="not yet been built"):
        neither.save(tmp_path / "model.keras")
    with pytest.raises(DataError, match="has no inputs of its own.* begin with keras.Input"):
        load_model(tmp_path / "model.keras", DECLARED)


def test_what_is_in_the_folder_chooses_or_says_what_is_wrong(tmp_path, encoders):
    with pytest.raises(DataError, match="it holds none"):
        find_model(tmp_path, DECLARED)
    (tmp_path / "a.keras").write_bytes(b"no model")
    with pytest.raises(DataError, match="a.keras cannot be loaded"):
        load_model(find_model(tmp_path, DECLARED), DECLARED)
    shutil.copytree(encoders / "letters", tmp_path / "b")
    with pytest.raises(DataError, match="it holds a.keras, b; `model:`"):
        find_model(tmp_path, DECLARED)
    assert find_model(tmp_path, DECLARED.model_copy(update={"model": "b"})) == tmp_path / "b"
    with pytest.raises(DataError, match="names the model c, which is not there"):
        find_model(tmp_path, DECLARED.model_copy(update={"model": "c"}))
