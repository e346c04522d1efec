"""What types alone cannot say of a recipe: names that must exist and parts that must fit."""

from pipeline.recipe.beam_checks import beam_problems
from pipeline.recipe.errors import Problem
from pipeline.recipe.feature_checks import derived_problems, feature_problems, history_problems
from pipeline.recipe.fuse_checks import fuse_problems
from pipeline.recipe.gate_checks import evaluation_problems, gate_problems
from pipeline.recipe.input_checks import input_problems
from pipeline.recipe.model import Recipe
from pipeline.recipe.model_checks import model_problems, split_problems
from pipeline.recipe.private_checks import private_problems
from pipeline.recipe.remote_checks import remote_problems
from pipeline.recipe.source_checks import event_problems, role_problems, source_problems
from pipeline.recipe.span_checks import span_problems
from pipeline.recipe.task_checks import downsampling_problems, task_problems
from pipeline.recipe.tune_checks import tune_problems


def problems(recipe: Recipe) -> list[Problem]:
    """Every mistake in a recipe whose fields are all of the right type."""
    found = list(source_problems(recipe)) + list(event_problems(recipe)) + list(beam_problems(recipe))
    if not found:
        found += role_problems(recipe)
        found += history_problems(recipe)
    if not found:
        found += derived_problems(recipe)
    if not found:
        for check in (
            feature_problems,
            task_problems,
            split_problems,
            span_problems,
            downsampling_problems,
            model_problems,
            input_problems,
            remote_problems,
            gate_problems,
            evaluation_problems,
            fuse_problems,
        ):
            found += check(recipe)
    if not found:
        found += private_problems(recipe)
        found += tune_problems(recipe)
    return found
