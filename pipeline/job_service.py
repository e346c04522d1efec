"""Whether the job service that a recipe's `beam:` names is there, before anything is started."""

import shutil
import socket
from pathlib import Path

from pipeline.recipe import Recipe
from pipeline.recipe.beam import Beam
from pipeline.recipe.errors import Problem, RecipeError

_SECONDS = 5.0


def check_job_service(recipe: Recipe, recipe_file: Path) -> None:
    """Says at once what Beam would wait a day for.

    Raises:
      RecipeError: nothing answers at its `job_endpoint`, or there is no Java for the job service that Beam would
        start for its `master`.
    """
    beam = recipe.beam
    if beam.job_endpoint is not None:
        host, _, port = beam.job_endpoint.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
        except (OSError, OverflowError) as error:
            what = "does not take connections" if isinstance(error, ConnectionRefusedError) else str(error)
            raise _problem(
                recipe_file,
                "job_endpoint",
                f"no job service answers at {beam.job_endpoint} ({what}); start it, or name the one that "
                "is running",
            ) from None
    elif beam.master is not None and not beam.options.get(f"{beam.runner}_submit_uber_jar"):
        if shutil.which("java") is None:
            raise _problem(
                recipe_file,
                "master",
                "Beam starts its job service with Java, and there is no `java` here; install it, or name a "
                "job service that is running as `job_endpoint`",
            )


def _problem(recipe_file: Path, setting: str, message: str) -> RecipeError:
    return RecipeError(str(recipe_file), [Problem(f"beam.{setting}", message)])


def without_workers(error: BaseException, beam: Beam) -> str:
    """Why a step failed, where it was that its job service found no worker; else nothing."""
    if beam.runner == "local" or "StatusCode.UNAVAILABLE" not in str(error):
        return ""
    where = f"at {beam.worker_pool}, " if beam.worker_pool else ""
    return (
        f"the job service, or one of its workers, could not be reached ({where}as seen from each worker): is it "
        "running, with this project installed beside it? Beam's own words are in the log"
    )
