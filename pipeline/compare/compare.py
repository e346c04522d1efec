"""`mtl compare`: does sharing help? A recipe and its variants against one model a task, on a run's examples.

All are trained alike (same rows, batches, epochs, patience, optimizers, seeds); early stopping reads
validation, so they are judged on test, which nothing was fitted on.
"""

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from pipeline import digests, terminal
from pipeline.compare import words
from pipeline.compare.models import Models
from pipeline.compare.rows import Rows
from pipeline.compare.shown import Shown
from pipeline.compare.variants import CannotCompare, Variant, single_task, variants
from pipeline.only_one import only_one
from pipeline.recipe import Recipe, RecipeError, load
from pipeline.scratch import scratch
from pipeline.train import CHANGEABLE, CannotTrain, fixed_differences, made

JSON, MARKDOWN = "compare.json", "compare.md"


def compare(
    recipe_file: Path,
    run_dir: Path | None = None,
    output: Path = Path("output"),
    *,
    architectures: Sequence[str] = (),
    weightings: Sequence[str] = (),
    seeds: int = 3,
    settings: Sequence[str] = (),
) -> int:
    """Trains what is not trained yet, compares, and returns the exit code: 0, or 130 where Ctrl-C stopped it.

    Writes compare.json, compare.md and log.txt into `compare/<digest>` of the recommender's folder, which
    `compare/latest` names; models' scores are kept in `compare/models`.

    Args:
      recipe_file: the recipe; of the run's it may differ in what `mtl train` lets differ.
      run_dir: whose examples are used; the newest below `output` that fits where left out.
      output: see `run_dir`.
      architectures, weightings: see `variants`.
      seeds: of training, from the recipe's on; at least 2.
      settings: of the recipe, `key=value`.

    Raises:
      RecipeError: the recipe is wrong.
      CannotCompare: see there.
      Busy: another comparison is at work on the recommender.
    """
    others = variants(recipe_file, settings, architectures, weightings)
    recipe = others[0].recipes[0]
    if recipe.evaluation.replicates < 2:
        raise CannotCompare(
            f"evaluation.replicates is {recipe.evaluation.replicates}, and intervals need replicates; "
            "say --set evaluation.replicates=200"
        )
    run_dir = _fitting(recipe, run_dir, output)
    single = single_task(recipe)
    first = recipe.training.seed
    numbers = range(first, first + seeds)
    home = run_dir.parent.parent / "compare"
    models = Models(home / "models", _rows(recipe, run_dir, home))
    wanted = [(v, seed, r) for seed in numbers for v in (single, *others) for r in v.seeded(seed)]
    what = digests.text_digest(*(models.folder_of(r).name for _, _, r in wanted))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    home.mkdir(exist_ok=True)
    with (
        only_one(home, "comparison"),
        scratch(home.parent),
        terminal.chatter_to(home / what / "log.txt") as console,
    ):
        console.print(
            f"{recipe.name}: {len(others)} variant{'s' if len(others) > 1 else ''} and "
            f"{len(single.recipes)} single-task models with {seeds} seeds on {run_dir.name}'s examples",
            markup=False,
        )
        try:
            _train(console, models, wanted)
            _tell(console, recipe, models, single, others, list(numbers), run_dir, home / what)
        except KeyboardInterrupt:
            done = sum(models.has(r) for _, _, r in wanted)
            console.print(
                f"stopped; {done} of {len(wanted)} models are trained. The same command goes on after the "
                "last whole epoch",
                markup=False,
            )
            return 130
    return 0


def _fitting(recipe: Recipe, run_dir: Path | None, output: Path) -> Path:
    """The run whose examples are used."""
    if run_dir is not None:
        run_dir = run_dir.resolve()
        changed = _unfit(recipe, run_dir)
        if changed:
            raise CannotCompare(
                f"{changed}\nleave them as in {run_dir / 'recipe.yaml'}, or let `mtl run` make new examples; "
                f"what can change here: {CHANGEABLE}"
            )
        return run_dir
    runs = output.resolve() / recipe.name / "runs"
    newest = None
    for candidate in sorted(runs.glob("*"), reverse=True):
        try:
            changed = _unfit(recipe, candidate)
        except CannotCompare:
            continue
        if not changed:
            return candidate
        newest = newest or changed
    raise CannotCompare(
        f"no run below {runs} has examples of this recipe; `mtl run` makes them, --output says where to "
        "look, --from names a run" + (f"\n{newest}" if newest else "")
    )


def _unfit(recipe: Recipe, run_dir: Path) -> str:
    """What keeps a run's examples from being this recipe's, in words; empty where nothing does."""
    try:
        made(run_dir)
        changed = fixed_differences(recipe, load(run_dir / "recipe.yaml"))
    except (CannotTrain, RecipeError) as error:
        raise CannotCompare(str(error)) from None
    if not (run_dir / "examples").is_dir():
        raise CannotCompare(f"{run_dir} does not say where its test rows are; run it again")
    head = f"these settings made the examples of {run_dir.name} and cannot change here:\n"
    return head + "\n".join(f"  {line}" for line in changed) if changed else ""


def _rows(recipe: Recipe, run_dir: Path, home: Path) -> Rows:
    transformed, graph = made(run_dir)
    return Rows(recipe, run_dir / "examples", transformed, graph, home / "rows")


def _train(console: Console, models: Models, wanted: list[tuple[Variant, int, Recipe]]) -> None:
    kept = sum(models.has(r) for _, _, r in wanted)
    if kept:
        console.print(f"{kept} of {len(wanted)} models are kept from before", markup=False)
    with Shown(console, len(wanted)) as shown:
        for variant, seed, recipe in wanted:
            alone = f" ({', '.join(recipe.tasks)})" if len(variant.recipes) > 1 else ""
            shown.start(f"{variant.name}{alone}, seed {seed}", recipe.training.epochs, models.has(recipe))
            try:
                models.train(recipe, shown)
            except (ValueError, FloatingPointError) as error:
                raise CannotCompare(f"{variant.name}{alone}, seed {seed}: {error}") from error
            shown.end()


def _tell(
    console: Console,
    recipe: Recipe,
    models: Models,
    single: Variant,
    others: list[Variant],
    seeds: list[int],
    run_dir: Path,
    folder: Path,
) -> None:
    from pipeline.compare.facts import facts_of

    with terminal.waiting(console, "measuring"):
        facts = facts_of(recipe, models, single, others, seeds) | {"run": run_dir.name}
    (folder / JSON).write_text(json.dumps(facts, indent=1) + "\n")
    (folder / MARKDOWN).write_text(words.markdown(facts))
    for name, rows in itertools.groupby(words.task_rows(facts), key=lambda row: row[0]):
        _show(console, words.HEADINGS[1:], [row[1:] for row in rows], name)
    _show(console, words.COSTS, words.cost_rows(facts), "cost, and how many times that of one model a task")
    for sentence in words.sentences(facts):
        console.print(sentence, markup=False)
    console.print(f"compared: {terminal.shown(folder / MARKDOWN)}, and {JSON} beside it", markup=False)
    latest = folder.with_name("latest")
    part = latest.with_name(f".latest-{os.getpid()}")
    part.unlink(missing_ok=True)
    part.symlink_to(folder.name)
    part.replace(latest)


def _show(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    columns = [Column(name, overflow="fold") for name in headings]
    table = Table(*columns, title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*row)
    console.print(table)
