"""Which model a run begins from, or why it trains from nothing; decided before any step runs.

It is the model that serves, which every gate has let pass: one that was refused or rolled back from is never
begun from. What training needs of it is in the folder of the run that made it, which `mtl runs gc` keeps as
long as the version serves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import digests
from pipeline.ingest.files import file_digest
from pipeline.recipe import Recipe, load
from pipeline.recipe.errors import RecipeError
from pipeline.recipe.model import Training
from pipeline.recipe.parts import TimeSplit
from pipeline.spans.calendar import Calendar
from pipeline.spans.resolve import SpanRun
from pipeline.trainer_files import STATISTICS
from pipeline.vectors import Table, held
from serving import versions

_NEEDED = ("model_run/model.keras", "vocabularies/layout.json", f"transform_graph/{STATISTICS}")


@dataclass(frozen=True)
class Base:
    """The model that a run begins from.

    Attributes:
      version: that it serves as.
      run: that made it.
      span: that this run was of; "" of a run without.
      folder: of the run.
      content: digest of all that is read of it: weights, vocabularies, scalings.
    """

    version: str
    run: str
    span: str
    folder: Path
    content: str

    def part(self, name: str) -> Path:
        """A folder that the run made, where it really is, so that it is one path in every cache key."""
        return (self.folder / name).resolve()


@dataclass(frozen=True)
class Beginning:
    """How a run begins.

    Attributes:
      base: None where it trains from nothing.
      reason: why it trains from nothing; "" where it does not.
      since_full: runs that began from a model since the last that trained from nothing, this one included.
      every: one run in so many trains from nothing.
    """

    base: Base | None
    reason: str
    since_full: int
    every: int

    def facts(self) -> dict[str, Any]:
        """For the report, and for the runs to come."""
        return {
            "version": self.base.version if self.base else None,
            "run": self.base.run if self.base else None,
            "reason": self.reason,
            "since_full": self.since_full,
            "every": self.every,
        }


def beginning(
    recipe: Recipe, home: Path, baseline: Path | None, span: SpanRun | None, fingerprint: str, tables: Mapping
) -> Beginning | None:
    """How a run begins; None where the recipe has no `training.warm_start`.

    The same run again begins from what it began from, though its own model may serve by now.

    Args:
      recipe: of the run.
      home: the recommender's folder.
      baseline: the version that serves.
      span: that the run is of.
      fingerprint: of the run's plan.
      tables: the vectors that the model will hold, by feature.
    """
    settings = recipe.training.warm_start
    if settings is None:
        return None
    every = settings.full_retrain_every
    try:
        base, since_full = _base(home, baseline, span, fingerprint)
        count = since_full + 1 + _refused(home, base, span)
        if count >= every:
            raise _Full(f"one run in {every} does, and {count} came after the last that did")
        for reason in _differences(recipe, base, span, tables):
            raise _Full(reason)
    except _Full as full:
        return Beginning(None, str(full), 0, every)
    return Beginning(base, "", count, every)


def training_settings(given: Training, begins: Beginning | None) -> Training:
    """What a recipe's settings come to in a run that begins so.

    One that begins from a model has epochs of its own, and rates that do not fall: there are few steps in a
    day's rows, and a rate that falls to 0 over them leaves out half of what they teach.
    """
    if begins is None or begins.base is None:
        return given.model_copy(update={"warm_start": None})
    schedule = given.schedule.model_copy(update={"name": "constant"})
    own = {"warm_start": None, "epochs": given.warm_start.epochs, "schedule": schedule}
    return given.model_copy(update=own)


class _Full(Exception):
    """Why a run trains from nothing."""


def _base(home: Path, baseline: Path | None, span: SpanRun | None, fingerprint: str) -> tuple[Base, int]:
    if baseline is None:
        raise _Full("no version serves yet")
    record = versions.record(baseline)
    version, run = str(record.get("of", baseline.name)), record.get("run")
    own = record.get("span") == span.name if span else record.get("fingerprint") == fingerprint
    if own:
        earlier = record.get("warm_start") or {}
        version, run = earlier.get("version"), earlier.get("run")
        if run is None:
            what = f"this very span, {span.name}," if span else "exactly this recipe, data and code"
            raise _Full(f"version {baseline.name}, which serves, was made from {what} and nothing before")
    folder = home / "runs" / str(run)
    if run is None or not all((folder / part).is_file() for part in _NEEDED):
        raise _Full(
            f"what made version {version} is not there: it came from elsewhere, was deleted, or was trained "
            "before training.warm_start was asked for"
        )
    content = digests.text_digest(
        file_digest(folder / _NEEDED[0]),
        digests.folder_digest(folder / "vocabularies"),
        file_digest(folder / _NEEDED[2]),
    )
    told = json.loads((folder / "report" / "metrics.json").read_text())
    of_span = (told.get("span") or {}).get("name", "")
    since_full = (told.get("warm_start") or {}).get("since_full", 0)
    return Base(version, run, of_span, folder, content), since_full


def _refused(home: Path, base: Base, span: SpanRun | None) -> int:
    """Runs that began from the same model and were refused: without them a model that is refused every day
    would be tried from the same beginning for ever. Of one span they count once."""
    found = set()
    for path in (home / "runs").glob("*/report/metrics.json"):
        if path.parts[-3] <= base.run:
            continue
        told = json.loads(path.read_text())
        began = (told.get("warm_start") or {}).get("run")
        of = (told.get("span") or {}).get("name") or told.get("run")
        if began == base.run and told.get("status") == "refused" and of != (span.name if span else None):
            found.add(of)
    return len(found)


def _differences(
    recipe: Recipe, base: Base, span: SpanRun | None, tables: Mapping[str, Table]
) -> Iterator[str]:
    """Why a model of this recipe cannot go on from another, in words."""
    try:
        before = load(base.folder / "recipe.yaml")
    except RecipeError as error:
        yield f"the recipe of run {base.run} cannot be read any more: {error.problems[0].message}"
        return
    for section, now in _form(recipe).items():
        then = _form(before)[section]
        changed = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        if changed:
            names = ", ".join(f"{section}.{name}" for name in changed)
            yield f"{names} changed since run {base.run}, which version {base.version} is from"
    for name, vectors in held(base.part("vocabularies")).items():
        if name not in tables:
            continue
        if tables[name].encoder != vectors.encoder:
            yield f"{name}: another encoder makes its vectors since run {base.run}"
        if tables[name].dimension not in (None, vectors.dimension):
            yield f"{name}: its vectors have {tables[name].dimension} numbers and had {vectors.dimension}"
    if span and len(base.span) != len(span.name):
        yield f"version {base.version} was not trained by spans as this one is"
    elif base.span and not span:
        yield f"version {base.version} was trained by spans, and this run is of none"
    elif span:
        calendar = Calendar.of(recipe.spans)
        if not any(calendar.number(name) >= calendar.number(base.span) for name in span.window):
            yield f"no span from {base.span} on, which version {base.version} has not seen, can be trained on"
    elif not _tests_later(before, recipe):
        yield f"splits changed since run {base.run}: what is test now may have been trained on then"


def _form(recipe: Recipe) -> dict[str, Any]:
    """What must be the same for weights to mean the same."""
    parts = recipe.part("features", "derived", "encoders", "tasks", "model", "weighting")
    told = json.loads(parts.model_dump_json())
    optimizers = recipe.training.optimizer
    return {
        "features": told["features"],
        "derived": told["derived"],
        "encoders": told["encoders"],
        "sources": {n: [c.type, c.separator, c.longer] for n, c in recipe.input_columns.items()},
        "tasks": told["tasks"],
        "model": told["model"],
        "weighting": told["weighting"],
        "downsampling": told["downsampling"] or {},
        "training.optimizer": {
            "dense": optimizers.dense.name,
            "embedding": optimizers.embedding.name,
        },
    }


def _tests_later(before: Recipe, now: Recipe) -> bool:
    if before.splits == now.splits:
        return True
    if not isinstance(before.splits, TimeSplit) or not isinstance(now.splits, TimeSplit):
        return False
    return str(now.splits.test_from) >= str(before.splits.test_from) and str(
        now.splits.validation_from
    ) >= str(before.splits.validation_from)
