"""Steps that no process of ours watched, from what they made."""

from tfx.types.standard_artifacts import Examples, Model

from pipeline.runners.kept_steps import MEMORY, SECONDS, keep_steps, kept_steps, step_of


def test_they_come_back_as_they_were_and_what_another_pipeline_made_is_told_as_cached(tmp_path):
    model, examples = Model(), Examples()
    model.uri, examples.uri = (
        str(tmp_path / "1/new/Trainer_-1/model"),
        str(tmp_path / "1/old/Window_-2/examples"),
    )
    for made in (model, examples):
        made.set_float_custom_property(SECONDS, 2.5)
        made.set_int_custom_property(MEMORY, 4096)
    job = tmp_path / "1/new"
    keep_steps(tmp_path, [step_of("Window", {"examples": [examples]}, job)])
    keep_steps(tmp_path, [step_of("Trainer", {"model": [model]}, job)])
    window, trainer = kept_steps(tmp_path).values()
    assert (window.name, window.seconds, window.memory, window.cached) == ("Window", 0.0, None, True)
    assert (trainer.name, trainer.seconds, trainer.memory, trainer.cached) == ("Trainer", 2.5, 4096, False)
    assert (window.uri("examples"), trainer.uri("model")) == (examples.uri, model.uri)
    assert isinstance(trainer.outputs["model"][0], Model)
