"""What is compared: a recipe and its variants, and beside them one model a task."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import distribution
from pipeline.recipe import Recipe, RecipeError, constructors, load
from pipeline.recipe.expressions import near


class CannotCompare(Exception):
    """There is nothing to compare, or nothing to compare it on."""


@dataclass(frozen=True)
class Variant:
    """A way to predict all tasks: one model, or one a task.

    Attributes:
      name: the architecture and the weighting, or what stands for one model a task.
      recipes: of each model; together they have every task once.
    """

    name: str
    recipes: tuple[Recipe, ...]

    def seeded(self, seed: int) -> list[Recipe]:
        """Its recipes with this seed of training."""
        return [_with(r, training=r.training.model_copy(update={"seed": seed})) for r in self.recipes]


SINGLE_TASK = "one model a task"


def variants(
    recipe_file: Path, settings: Sequence[str], architectures: Sequence[str], weightings: Sequence[str]
) -> list[Variant]:
    """The recipe itself, then it with each named architecture, then it with each named weighting.

    One thing differs from the recipe at a time, so that a difference has one cause; other combinations are
    a matter of `settings`. A part that the recipe has itself is not repeated. Another part takes the
    settings that it shares with the recipe's (`units`, `dropout`, `chain`), so that the tasks' towers see as
    wide a representation; what it does not share is at its default. So is all of a `package.module:Class`.

    Raises:
      RecipeError: the recipe is wrong.
      CannotCompare: a name is unknown, or the part does not fit the recipe; the message says which.
    """
    recipe = load(recipe_file, settings)
    distribution.one_process(recipe, recipe_file)
    found = [recipe]
    for option, folder, path, names in (
        ("--architectures", "architectures", "model.architecture", architectures),
        ("--weightings", "weighting", "weighting", weightings),
    ):
        own = recipe.weighting if folder == "weighting" else recipe.model.architecture
        for name in dict.fromkeys(names):
            if name == own.name:
                continue
            known = constructors.part_names(folder)
            if ":" not in name and name not in known:
                raise CannotCompare(f"{option}: there is no '{name}'{near(name, known)}")
            part = json.dumps({"name": name} | _shared(own, folder, name))
            try:
                found.append(load(recipe_file, [*settings, f"{path}={part}"]))
            except RecipeError as error:
                raise CannotCompare(f"{option}: {name} does not fit this recipe\n{error}") from None
    return [Variant(f"{r.model.architecture.name}, {r.weighting.name}", (r,)) for r in found]


def single_task(recipe: Recipe) -> Variant:
    """The matched baseline: for each task the recipe with that task alone.

    Nothing is shared: each has its own embeddings, network and tower, of the recipe's sizes, and the
    recipe's own architecture, so that a task has alone as many experts as it had with others. Those that
    need several tasks (which have a `chain`) become `single_task` of the same `units`. The same batches,
    optimizers, epochs, patience and seeds; each keeps the epoch that is best for its task. `loss_weight` is
    1, as there is nothing to balance.
    """
    return Variant(SINGLE_TASK, tuple(_alone(recipe, task) for task in recipe.tasks))


def _alone(recipe: Recipe, task: str) -> Recipe:
    architecture, weighting = recipe.model.architecture, {"name": "equal"}
    if hasattr(architecture, "chain"):
        architecture = {"name": "single_task"} | _shared(architecture, "architectures", "single_task")
    model = recipe.model.model_dump() | {"architecture": architecture}
    if recipe.model.position is not None:
        # also of a task that the position's tower did not serve: else the position would become its feature
        model["position_tasks"] = (task,)
    neutral = recipe.part("features", "derived", "training")
    stopping = recipe.training.stopping.model_copy(update={"objective": None})
    return _with(
        neutral,
        evaluation=recipe.evaluation.model_copy(update={"references": {}}),
        tasks={task: recipe.tasks[task].model_copy(update={"loss_weight": 1.0})},
        model=type(recipe.model).model_validate(model),
        weighting=type(neutral.weighting).model_validate(weighting),
        training=recipe.training.model_copy(update={"stopping": stopping}),
    )


def _shared(own: object, folder: str, name: str) -> dict:
    """The settings of a part that another has too; none where one is from elsewhere."""
    if ":" in name:
        return {}
    fields = constructors.part_settings(folder, name).model_fields
    given = getattr(own, "settings", None) or own.model_dump(exclude={"name"})
    return {setting: value for setting, value in given.items() if setting in fields}


def _with(recipe: Recipe, **sections: object) -> Recipe:
    # not model_copy, which would keep what is cached of the old sections
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return Recipe.model_construct(**fields | sections)
