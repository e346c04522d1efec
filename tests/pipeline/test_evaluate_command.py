"""What `mtl evaluate` says of what it cannot use; whole evaluations are in e2e/days/test_days.py."""

import pytest

from pipeline.evaluate import CannotEvaluate, evaluate


@pytest.fixture
def demo(root):
    return root / "data" / "demo" / "recipe.yaml"


def saved_model(folder, **signatures):
    """The file that says which signatures a SavedModel has, and which outputs they have."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    definitions = model.meta_graphs.add().signature_def
    for name, outputs in signatures.items():
        for output in outputs:
            definitions[name].outputs[output].name = output
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def test_what_is_no_model(demo, tmp_path):
    with pytest.raises(CannotEvaluate, match="neither a SavedModel nor a folder with a pushed version"):
        evaluate(demo, tmp_path, tmp_path, tmp_path / "out")
    (tmp_path / "CURRENT").write_text("7")
    with pytest.raises(CannotEvaluate, match="names version '7', which is not a whole model"):
        evaluate(demo, tmp_path, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("signatures", "said"),
    [
        ({"serving_default": ["click"]}, "no signature serve_examples.*its signatures are serving_default"),
        (
            {"serve_examples": ["click", "like"]},
            "no output watch_time, purchase.*its outputs are click, like",
        ),
    ],
)
def test_a_model_of_other_outputs(demo, tmp_path, signatures, said):
    with pytest.raises(CannotEvaluate, match=said):
        evaluate(demo, saved_model(tmp_path / "model", **signatures), tmp_path, tmp_path / "out")
    assert not list(tmp_path.glob("out/demo/evaluations/*")), "nothing that looks like an evaluation"


@pytest.mark.parametrize("content", [b"", b"\xff not a model"])
def test_a_broken_model_file(demo, tmp_path, content):
    saved_model(tmp_path / "model").joinpath("saved_model.pb").write_bytes(content)
    with pytest.raises(CannotEvaluate, match="saved_model.pb is broken or cut off"):
        evaluate(demo, tmp_path / "model", tmp_path, tmp_path / "out")


def test_an_output_that_is_a_file(demo, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(CannotEvaluate, match="--output: .* cannot be written: "):
        evaluate(demo, saved_model(tmp_path / "model"), tmp_path, tmp_path / "out")


def test_test_examples_alone_do_not_say_who_is_new(demo, tmp_path):
    (tmp_path / "Split-test").mkdir()
    with pytest.raises(CannotEvaluate, match="no Split-train, which says what users and items are new"):
        evaluate(demo, saved_model(tmp_path / "model"), tmp_path, tmp_path / "out")
