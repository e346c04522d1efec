"""One process for all whole runs: importing TFX takes half a minute."""

import gc
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SMALL = (
    "training.epochs=2",
    "evaluation.replicates=20",
    "training.batch_size=256",
    "model.embedding_l2=0.01",
)


@dataclass(frozen=True)
class Outcome:
    """What a run returned and wrote."""

    code: int
    metrics: dict
    folder: Path

    @property
    def ran(self) -> set[str]:
        """The steps that did their work, rather than take it from the cache."""
        return set(self.metrics["seconds"]) - set(self.metrics["cached"]) - {"start", "total"}


@pytest.fixture(scope="session")
def go():
    """Runs a recipe as `mtl run` does."""
    import tfx.v1  # noqa: F401, what a run imports late

    from pipeline.run import run

    gc.freeze()  # a collection that looks through all that was imported takes half a second

    def _go(
        recipe: Path, data: Path, output: Path, *settings: str, cache: bool = True, span: str = ""
    ) -> Outcome:
        temporary = set(os.listdir(tempfile.gettempdir()))
        code = run(recipe, data, output, (*SMALL, *settings), cache, span)
        assert set(os.listdir(tempfile.gettempdir())) == temporary
        [home] = [p for p in output.iterdir() if p.is_dir()]
        assert not list(home.glob(".scratch-*"))
        folder = max((home / "runs").iterdir(), key=lambda p: (p.stat().st_ctime_ns, p.name))
        return Outcome(code, json.loads((folder / "report" / "metrics.json").read_text()), folder)

    return _go


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """The settings of `go`, for runs in a process of their own."""
    return SMALL
