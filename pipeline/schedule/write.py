"""`mtl schedule`: writes the files for one scheduler into a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.distribution import one_process
from pipeline.recipe import load
from pipeline.recipe.schema_file import check_schema
from pipeline.schedule import airflow, cron, kubernetes, systemd
from pipeline.schedule.job import Job, usual_time
from pipeline.schedule.times import parse


def write(
    target: str,
    recipe_file: Path,
    input_dir: Path,
    output: Path,
    settings: Sequence[str],
    at: str | None,
    folder: Path,
    image: str,
) -> list[Path]:
    """Writes what a scheduler needs to run a recipe; what is there is replaced.

    Args:
      target: cron, systemd, kubernetes or airflow.
      recipe_file, input_dir, output, settings: as of `mtl run`.
      at: when, as cron writes it; as `usual_time` where left out.
      folder: where the files go; is made.
      image: of Kubernetes' container.

    Returns:
      The files.

    Raises:
      RecipeError: the recipe is wrong.
      BadTime: `at` is no time, or none that the scheduler can keep.
    """
    recipe = load(recipe_file, settings)
    check_schema(recipe, recipe_file)
    one_process(recipe, recipe_file)
    given = tuple(f"@{Path(s[1:]).resolve()}" if s.startswith("@") else s for s in settings)
    times = parse(usual_time(recipe) if at is None else at)
    job = Job(recipe, recipe_file.resolve(), input_dir.resolve(), output.resolve(), given, times)
    folder = folder.resolve()
    made: dict[str, Callable[[], dict[str, str]]] = {
        "cron": lambda: cron.files(job, str(folder)),
        "systemd": lambda: systemd.files(job, str(folder)),
        "kubernetes": lambda: kubernetes.files(job, image),
        "airflow": lambda: airflow.files(job),
    }
    return write_files(made[target](), folder)


def write_files(contents: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes files to a folder, which is made; what is there is replaced. Returns their paths."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / name
        path.write_text(content, encoding="utf-8")
        path.chmod(0o755 if name.endswith(".sh") else 0o644)
    return [folder / name for name in contents]
