"""The Tuner's function: trials over the recipe's search space, for TFX to run."""

from pathlib import Path
from typing import Any

from tfx.components.tuner.component import TunerFnResult

from pipeline import digests, trainer, vocabulary
from pipeline.recipe import Recipe
from pipeline.trials import Trials


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """Called by TFX's Tuner; `custom_config` holds the recipe as JSON, and the folder of all searches."""
    config = fn_args.custom_config
    recipe = Recipe.model_validate_json(config["recipe"])
    layout = vocabulary.read_layout(fn_args.transform_graph_path)
    train = trainer.read_arrays(fn_args.train_files, layout, recipe)
    validation = trainer.read_arrays(fn_args.eval_files, layout, recipe)
    # the artifacts' folders name the data: a search that was stopped finds its trials again
    search = digests.text_digest(config["recipe"], config["code"], *fn_args.train_files, *fn_args.eval_files)
    held = trainer.held_vectors(fn_args.transform_graph_path, layout)
    tuner = Trials(recipe, layout, Path(config["folder"]), search, held)
    return TunerFnResult(tuner, {"train": train, "validation": validation})
