"""Ingestion: the sources of a recipe to tf.Examples in three splits, with counts and dead letters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.held_catalogs import FOLDER, held_catalog
from pipeline.ingest.ahead import THREADS
from pipeline.ingest.catalogs import load_catalog, write_table
from pipeline.ingest.counts import Counts
from pipeline.ingest.errors import DataError
from pipeline.ingest.explain import DEAD_LETTERS, dead_kinds
from pipeline.ingest.files import source_digest
from pipeline.ingest.keyed_stage import ONLINE, KeyedStage, Summary
from pipeline.ingest.late import late_letters
from pipeline.ingest.online_store import merge_parts
from pipeline.ingest.plan import LOG, Piece, Plan, make_plan, pieces
from pipeline.ingest.progress import watch
from pipeline.ingest.read_stage import PieceResult, ReadStage, catalog_path, piece_path, write_letters
from pipeline.ingest.span_rows import SpanRows
from pipeline.ingest.splits import SPLITS
from pipeline.recipe.model import Recipe

COUNTS = "counts.json"


def ingest(
    recipe: Recipe,
    input_dir: Path,
    output_dir: Path,
    pipeline: beam.Pipeline,
    dead_dir: Path | None = None,
    progress: Callable[[int], None] | None = None,
    for_training: bool = True,
    span: SpanRows | None = None,
) -> Counts:
    """Reads a recipe's sources and writes examples.

    Writes `Split-<split>/data_tfrecord-<i>-of-<n>.gz` for train, validation and test, gzipped TFRecords of
    tf.Examples: every column in `recipe.example_columns` (a missing value has no value), per task
    `<task>/label`, `/mask`, `/weight` and `/reference/<name>` (floats), and `row/id` (int64, see
    `hashing.row_ids`). Where the recipe has history, `online/<key>.parquet` holds its current values (see
    `online_store`); `catalogs/<name>.arrow` are the catalogs that the model will hold. Bytes and names depend
    on the recipe and the data alone. Beside them `counts.json`, and `dead_letters.jsonl` in `dead_dir`; both
    are written too where the data are refused for what was counted.

    Args:
      recipe: what to read.
      input_dir: the folder that the sources' paths are below.
      output_dir: gets the splits and the counts; is made.
      pipeline: a Beam pipeline without steps; it is run here. Workers must see both folders.
      dead_dir: gets the dead letters; `output_dir` where left out.
      progress: told, about once a second and from another thread, how many rows of the log have been read.
      for_training: whether the data are refused where nothing could be learned from them.
      span: the rows to take; then no split and no task has to have any, as those of a window of spans do.

    Raises:
      DataError: the data do not fit the recipe or cannot be read; more rows are dead than it allows; and, for
        training, a catalog or an event log meets no row, a rule is broken, a split has no rows, or a task has
        no known label in a split.
    """
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    dead_dir = output_dir if dead_dir is None else Path(dead_dir)
    work_dir = output_dir / ".ingest"
    plan = make_plan(recipe, input_dir, output_dir, work_dir, span)
    shutil.rmtree(work_dir, ignore_errors=True)  # what a run that was killed left would be counted
    for split in SPLITS:
        for shard in (output_dir / f"Split-{split}").glob("*data_tfrecord-*"):
            shard.unlink()
    shutil.rmtree(output_dir / FOLDER, ignore_errors=True)
    for folder in (work_dir, dead_dir, *(output_dir / f"Split-{split}" for split in SPLITS)):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        counts = Counts(
            digests=source_digest(recipe, input_dir),
            known={task: dict.fromkeys(SPLITS, 0) for task in recipe.tasks},
        )
        with (dead_dir / DEAD_LETTERS).open("w", encoding="utf-8") as letters:
            _load_catalogs(plan, counts, letters)
            letters.flush()
            _check_shares(recipe, counts, dead_dir)
            work = pieces(plan)
            with watch(plan, work, progress):
                _run(pipeline, plan, work)
            for result in _results(work_dir):
                counts.add(result)
            for piece in work:
                with open(f"{piece_path(work_dir, piece)}.dead", encoding="utf-8") as part:
                    shutil.copyfileobj(part, letters)
            write_letters(letters, LOG, late_letters(plan, sorted(work_dir.glob("late-*"))))
        _write_online_store(plan, counts)
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
    counts.check()
    counts.write(output_dir / COUNTS)
    if not counts.read + counts.for_history:
        raise DataError(f"sources.log: {', '.join(plan.files[LOG][:5])}: no rows", counts)
    _check_shares(recipe, counts, dead_dir)
    if for_training:
        _judge(recipe, counts, span)
    return counts


class _Beside(beam.DoFn):
    """Work of which two at a time go on beside each other: C++ lets go of Python's lock."""

    def start_bundle(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS)
        self._results: list[Future[Any]] = []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The results, in the order of the work."""
        with self._threads:
            yield from [GlobalWindows.windowed_value(result.result()) for result in self._results]


class _Read(_Beside):
    def __init__(self, plan: Plan):
        self._plan = plan

    def setup(self) -> None:
        self._stage = ReadStage(self._plan)

    def process(self, piece: Piece) -> None:
        self._results.append(self._threads.submit(self._read, piece))

    def _read(self, piece: Piece) -> PieceResult | None:
        found: list[PieceResult] = []

        def work() -> Counts:
            found.append(self._stage(piece))
            return found[0].counts

        _recorded(self._plan, f"read-{piece.number:06d}", work)
        return found[0] if found else None


class _Keyed(_Beside):
    def __init__(self, plan: Plan, number: int, work: list[Piece]):
        self._plan, self._number, self._work = plan, number, work

    def setup(self) -> None:
        self._stage = KeyedStage(self._plan, self._number, self._work)

    def process(self, partition: int, read: list[PieceResult | None], before: list[bool]) -> None:
        self._results.append(self._threads.submit(self._done, partition, list(read), list(before)))

    def _done(self, partition: int, read: list[PieceResult | None], before: list[bool]) -> bool:
        if None in read or not all(before):
            return False
        summary = Summary.of(read)
        name = f"stage-{self._number}-{partition:06d}"
        return _recorded(self._plan, name, lambda: self._stage(partition, summary))


def _recorded(plan: Plan, name: str, work: Callable[[], Counts]) -> bool:
    """Leaves what the work counted, or why the data are refused, in a file: Beam would wrap the error."""
    try:
        result: dict[str, Any] = asdict(work())
    except DataError as error:
        result = {"error": str(error)}
    (plan.work_dir / f"{name}.json").write_text(json.dumps(result))
    pa.default_memory_pool().release_unused()  # or each thread keeps what its largest piece took
    return "error" not in result


def _run(pipeline: beam.Pipeline, plan: Plan, work: list[Piece]) -> None:
    read = (
        pipeline
        | "Pieces" >> beam.Create(work)
        | "Spread pieces" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(_Read(plan))
    )
    # as side inputs, a stage's results make the next one wait for all of it
    before = pipeline | "Nothing before" >> beam.Create([True])
    for number, stage in enumerate(plan.stages):
        label = f"Stage {number} by {', '.join(stage.key)}"
        before = (
            pipeline
            | f"Partitions {number}" >> beam.Create(range(plan.buckets))
            | f"Spread partitions {number}" >> beam.Reshuffle()
            | label
            >> beam.ParDo(_Keyed(plan, number, work), beam.pvalue.AsList(read), beam.pvalue.AsList(before))
        )
    pipeline.run().wait_until_finish()


def _write_online_store(plan: Plan, counts: Counts) -> None:
    parts = plan.work_dir / ONLINE
    # where every row died before some of its stages, not all parts are there, and the data are refused
    if parts.is_dir() and counts.rows_written:
        at = counts.last_time + 1  # as the stages gave it
        merge_parts(parts, plan.output_dir / ONLINE, plan.history, plan.name, at)


def _results(work_dir: Path) -> Iterator[Counts]:
    for path in sorted(work_dir.glob("*.json")):
        result = json.loads(path.read_text())
        if "error" in result:
            raise DataError(result["error"])
        yield Counts(**result)


def _load_catalogs(plan: Plan, counts: Counts, letters: Any) -> None:
    for name, catalog in plan.catalogs.items():
        if name in plan.keyed and catalog.serving != "in_model":
            continue
        rows = load_catalog(catalog, name, plan.input_dir, plan.needed)
        if catalog.serving == "in_model":
            path = held_catalog(plan.output_dir, name)
            path.parent.mkdir(exist_ok=True)
            known = [n for n in rows.table.column_names if n == catalog.key or n in plan.example_columns]
            write_table(rows.table.select(known), path)
        if name in plan.keyed:
            continue
        write_table(rows.table, catalog_path(plan.work_dir, name))
        write_letters(letters, f"catalogs.{name}", rows.dead)
        counts.catalogs[name] = {"read": rows.read, "dead": len(rows.dead)}


def _check_shares(recipe: Recipe, counts: Counts, dead_dir: Path) -> None:
    shares = {"log": (counts.rows_dead, counts.read)}
    for kind, sources in (("catalogs", counts.catalogs), ("events", counts.events)):
        shares |= {f"{kind}.{name}": (of["dead"], of["read"]) for name, of in sources.items()}
    for source, (dead, read) in shares.items():
        if dead > recipe.dead.max_share * read:
            kinds = [kind for kind in dead_kinds(dead_dir / DEAD_LETTERS) if kind.source == source][:3]
            raise DataError(
                f"{'the log' if source == 'log' else source}: {dead:,} of {read:,} rows ({dead / read:.2%}) "
                f"are dead, and dead.max_share allows {recipe.dead.max_share:.2%}: "
                f"{'; '.join(f'{kind.rows:,} × {kind.reason}' for kind in kinds)}; every one is in "
                f"{dead_dir / DEAD_LETTERS}",
                counts,
            )


def _judge(recipe: Recipe, counts: Counts, span: SpanRows | None) -> None:
    for name, rows in counts.matched.items():
        if not rows and counts.unmatched[name]:
            catalog = recipe.sources.catalogs[name]
            raise DataError(
                f"sources.catalogs.{name}: not one of {counts.unmatched[name]:,} rows of the log has a row "
                f"in it; is the log's {catalog.on or catalog.key} what the catalog calls {catalog.key}"
                + (
                    f", and does any row begin to hold ({catalog.time}) before the log?"
                    if catalog.time
                    else "?"
                ),
                counts,
            )
    if span is None:  # of one span's impressions there may be no event yet
        _judge_events(recipe, counts)
    if counts.broken:
        rules = "; ".join(f"{rule} in {rows:,} rows" for rule, rows in sorted(counts.broken.items()))
        raise DataError(f"the data break the recipe's rules: {rules}", counts)
    if span is not None:
        if not counts.rows_written:
            raise DataError("no row of this span can be used", counts)
        return
    for split, rows in counts.written.items():
        if not rows:
            seen = ""
            if counts.first_time is not None and recipe.splits.by == "time":
                hours = recipe.splits.utc_offset_hours
                seen = (
                    f"; the data are from {_moment(counts.first_time, hours)} to "
                    f"{_moment(counts.last_time, hours)}, validation_from is "
                    f"{recipe.splits.validation_from} and test_from {recipe.splits.test_from}, all "
                    f"{hours:+g} h from UTC"
                )
            raise DataError(f"splits: {split} has no rows{seen}", counts)
    for task, known in counts.known.items():
        for split in ("train", "validation", "test"):
            if not known[split]:
                where = recipe.tasks[task].where
                raise DataError(
                    f"tasks.{task}: no row of {split} has a label: {_why_unknown(recipe, counts, task)}"
                    + (f" or `{where}` false" if where else ""),
                    counts,
                )


def _judge_events(recipe: Recipe, counts: Counts) -> None:
    for name, source in recipe.sources.events.items():
        kinds: dict[str, int] = {}
        for task, found in counts.attributed.items():
            if recipe.tasks[task].events.source == name:
                for kind, rows in found.items():
                    kinds[kind] = kinds.get(kind, 0) + rows
        before, without = kinds.pop("before_impression", 0), kinds.pop("without_impression", 0)
        if before + without and not sum(kinds.values()):
            raise DataError(
                f"sources.events.{name}: no event follows a row of the log: {without:,} have keys "
                f"({', '.join(source.keys)}) that no row has, {before:,} are earlier than all rows that have "
                f"them; are the keys alike in both, and {source.time} of the same zone and unit as "
                f"{recipe.roles.time}?",
                counts,
            )


def _why_unknown(recipe: Recipe, counts: Counts, task: str) -> str:
    spec = recipe.tasks[task]
    if spec.events is None:
        return f"`{spec.label}` is always missing"
    source = recipe.sources.events[spec.events.source]
    of = counts.events[spec.events.source]
    if of["read"] == of["dead"] and source.complete_until is None:
        return (
            f"{spec.events.source} has no usable event, so that nothing says when events were collected; "
            "`complete_until:` does"
        )
    return (
        f"when the events of {spec.events.source} were collected (complete_until), {spec.events.window} had "
        "not passed since any of them, so that its window is open"
    )


def _moment(ms: int, hours: float) -> str:
    zone = timezone(timedelta(hours=hours))
    try:
        return datetime.fromtimestamp(ms / 1000, zone).isoformat(sep=" ", timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms since 1970, which no calendar holds (is `unit:` of the time column right?)"
