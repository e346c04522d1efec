"""Weightings and architectures on KuaiRand, each beside the recipe's own over the same seeds.

    python benchmarks/weighting.py --input FOLDER [--output FOLDER] [--seeds N]

The recipe runs once through the pipeline; then it is trained with several seeds on that run's transformed
examples, and so is each way of weighting.json, its weighting or its architecture in place of the recipe's
own, and the recipe without its tasks' `loss_weight`; nothing else is changed (no learning rate is tuned for
any of them). Shown are the means of the recipe's own way, and the mean difference of every other from it, seed by
seed, with its 95 % interval by Student's t over seeds: AUC and AUC within users, more is better, and the mean
absolute error of watch times, less is better. Seeds are outermost, and what was trained is kept in
OUTPUT/ways: a benchmark that was interrupted goes on.
"""

import argparse
import json
from pathlib import Path

from kuairand import measure
from rich.console import Console
from rich.table import Table
from runs import RECIPES, Transformed, interval, rows, run, shown, train_seed

from pipeline.recipe import Recipe, load

WAYS = json.loads(Path(__file__).with_suffix(".json").read_text())


def ways(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe's own way first, and every other by its name."""
    found = {f"{recipe.model.architecture.name}, {recipe.weighting.name}": recipe}
    for kind in ("weighting", "architecture"):
        for settings in WAYS[kind]:
            texts = recipe.model_dump(mode="json", exclude_unset=True)
            (texts if kind == "weighting" else texts["model"])[kind] = settings
            found[settings["name"]] = Recipe.model_validate(texts)
    tasks = {name: task.model_copy(update={"loss_weight": 1.0}) for name, task in recipe.tasks.items()}
    return found | {"loss weights of 1": recipe.model_copy(update={"tasks": tasks})}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--seeds", type=int, default=WAYS["seeds"])
    given = arguments.parse_args()
    recipe = load(RECIPES / "kuairand" / "recipe.yaml")
    compared = ways(recipe)
    run("kuairand", 1, given.input, given.output)
    transformed, test = Transformed(recipe, given.output), rows(recipe, given.output, "test")
    users, found = test["user_id"].to_numpy(), {name: [] for name in compared}
    for seed in range(1, given.seeds + 1):
        for name, way in compared.items():
            scores = train_seed(way, transformed, seed, given.output / "ways" / name)
            found[name].append(
                {
                    (task, metric): value
                    for task in recipe.tasks
                    for metric, value in measure(
                        recipe, task, test[f"{task}/label"].to_numpy(float), scores[task], users
                    ).items()
                }
            )

    own = found.pop(next(iter(compared)))
    table = Table("way", *(f"{task}\n{metric}" for task, metric in own[0]))
    table.add_row(next(iter(compared)), *(shown([r[key] for r in own]) for key in own[0]))
    for name, runs in found.items():
        differences = [[r[key] - o[key] for r, o in zip(runs, own)] for key in own[0]]
        table.add_row(name, *map(_difference, differences))
    Console(width=240).print(table)
    print("*: the interval of the difference does not hold 0")


def _difference(values: list[float]) -> str:
    mean, low, high = interval(values)
    mark = " *" if len(values) > 1 and not low <= 0 <= high else ""
    return f"{mean:+.4f} ± {mean - low:.4f}{mark}"


if __name__ == "__main__":
    main()
