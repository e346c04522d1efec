"""What the workers are told: the parts of a recipe that ingestion reads, and how the work is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.ingest.constraints import Constraints
from pipeline.ingest.event_labels import EventLabels
from pipeline.ingest.files import COMPRESSED, file_format, resolve, text_bytes
from pipeline.ingest.history import History
from pipeline.ingest.labels import Labels
from pipeline.ingest.read import check_columns
from pipeline.ingest.read_parquet import parquet_file
from pipeline.ingest.span_rows import SpanRows
from pipeline.ingest.splits import split_column, split_files
from pipeline.ingest.stages import Stage, make_stages
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import (
    Catalog,
    Column,
    Downsampling,
    Earlier,
    Events,
    Log,
    Roles,
    Source,
    Splits,
)
from pipeline.recipe.tasks import Task

# Rows of one partition are in memory together, with all that was joined to them and a sorted copy; of a
# catalog joined by key, and of events, the few columns needed are.
SHARD_ROWS = 1 << 16
OTHER_ROWS = 1 << 19
MAX_BUCKETS = 1 << 10
PIECE_BYTES = 64 << 20
# Of a catalog's files as text; twice that, with its index, is in every worker's memory.
IN_MEMORY_BYTES = 256 << 20
ROW_ID = "row/id"
LOG = "log"


@dataclass(frozen=True)
class Piece:
    """Work for one worker: a file of a source, or some row groups of a Parquet file."""

    number: int
    source: str
    file_number: int
    file: str
    row_groups: range | None = None
    first_position: int = 1


@dataclass(frozen=True)
class Plan:
    """Everything a worker needs, without the recipe's model (which other processes cannot unpickle).

    Attributes:
      buckets: of a spill, a power of two.
      files: source (`log`, `catalogs.<name>` of those joined by key, `events.<name>`) → its files.
      keyed: the catalogs joined by key.
      span: the rows to take, where one span is ingested; all where None.
    """

    input_dir: Path
    output_dir: Path
    work_dir: Path
    name: str
    log: Log
    catalogs: dict[str, Catalog]
    events: dict[str, Events]
    history: dict[str, Earlier]
    roles: Roles
    tasks: dict[str, Task]
    references: dict[str, dict[str, str]]
    splits: Splits
    downsampling: Downsampling | None
    columns: dict[str, Column]
    example_columns: list[str]
    files: dict[str, list[str]]
    keyed: frozenset[str]
    files_of_splits: dict[str, list[int]] = field(default_factory=dict)
    buckets: int = 1
    span: SpanRows | None = None

    @cached_property
    def stages(self) -> list[Stage]:
        """What is done after reading, in order."""
        catalogs = {name: c for name, c in self.catalogs.items() if name in self.keyed}
        return make_stages(self.log.unique, catalogs, self.events, self.history, ROW_ID)

    def stage_of(self, source: str) -> Stage:
        """Where a source other than the log meets the log."""
        kind, _, name = source.partition(".")
        return next(stage for stage in self.stages if name in getattr(stage, kind))

    @cached_property
    def at_once(self) -> frozenset[str]:
        """The columns that are there when the log is read: its own, and those of catalogs in memory."""
        found = set(self.log.columns)
        for name, catalog in self.catalogs.items():
            if name not in self.keyed:
                found |= catalog.columns.keys() - {catalog.key}
        return frozenset(found)

    def _moment(self, labels: Labels) -> str:
        """When labels can be made."""
        if labels.events or labels.columns & self.history.keys():
            return "late"
        return "at_once" if labels.columns <= self.at_once else "joined"

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """`at_once`: the labels that need nothing but what is there when the log is read; `joined`: those
        that need catalogs joined by key; `late`: those that need events or history."""
        return {moment: self._labels(moment) for moment in ("at_once", "joined", "late")}

    def _labels(self, moment: str) -> Labels:
        def fits(labels: Labels) -> bool:
            return self._moment(labels) == moment

        types = {name: column.expression_type for name, column in self.columns.items()}
        of_events = [name for name, task in self.tasks.items() if task.events is not None]
        tasks = {n: t for n, t in self.tasks.items() if fits(Labels({n: t}, {}, types, of_events))}
        references = {
            task: {n: text for n, text in named.items() if fits(Labels({}, {task: {n: text}}, types))}
            for task, named in self.references.items()
        }
        return Labels(tasks, references, types, of_events)

    @cached_property
    def constraints(self) -> dict[str, Constraints]:
        """Those of the columns that are there `at_once`, and those of catalogs `joined` by key."""
        source = {n: c for n, c in self.columns.items() if n not in self.history}
        of = {
            "at_once": {n: c for n, c in source.items() if n in self.at_once},
            "joined": {n: c for n, c in source.items() if n not in self.at_once},
        }
        return {moment: Constraints(columns, self.example_columns) for moment, columns in of.items()}

    @cached_property
    def split_at(self) -> str:
        """When a row's split is known: `at_once`, or once catalogs are `joined`."""
        column = split_column(self.splits, self.roles)
        return "at_once" if column is None or column in self.at_once else "joined"

    @cached_property
    def needs_time(self) -> bool:
        """Whether a row without a time cannot be used."""
        return bool(self.events or self.history)

    def event_labels(self, source: str) -> EventLabels:
        """What makes labels of an event log."""
        return EventLabels(
            self.events[source],
            {n: t for n, t in self.tasks.items() if t.events is not None and t.events.source == source},
        )

    def history_of(self, stage: Stage) -> History:
        """What makes a stage's history columns."""
        types = {n: self.columns[n].expression_type for n in self.columns if n not in self.history}
        return History({n: self.history[n] for n in stage.history}, types)

    @cached_property
    def later_columns(self) -> set[str]:
        """The columns that stages after the first read."""
        found = (
            self.labels["joined"].columns | self.labels["late"].columns | self.constraints["joined"].columns
        )
        found |= {self.roles.time} - {None}
        for stage in self.stages:
            found |= {*stage.key, *self.history_of(stage).columns}
            found |= {self.catalogs[name].on or self.catalogs[name].key for name in stage.catalogs}
            found |= {key for name in stage.events for key in self.events[name].keys}
        found |= {split_column(self.splits, self.roles)} - {None}
        return found - {ROW_ID}

    @cached_property
    def needed(self) -> list[str]:
        """The columns that are written, or read by a label, a join, a rule or the search for repeats."""
        wanted = {
            *self.example_columns,
            *self.labels["at_once"].columns,
            *self.constraints["at_once"].columns,
        }
        wanted |= {*self.log.unique, *self.later_columns}
        wanted |= {catalog.on or catalog.key for catalog in self.catalogs.values()}
        return [name for name in self.columns if name in wanted]

    def read_columns(self, source: str) -> list[str]:
        """The columns read of a source: `log`, or one that meets it in a stage."""
        kind, _, name = source.partition(".")
        if source == LOG:
            return [name for name in self.needed if name in self.log.columns]
        if kind == "events":
            return self.event_labels(name).columns
        catalog = self.catalogs[name]
        needed = [catalog.key, *([catalog.time] if catalog.time else [])]
        return [*needed, *(n for n in catalog.columns if n in self.needed and n not in needed)]

    @cached_property
    def kept_columns(self) -> list[str]:
        """The columns that go on after reading."""
        wanted = {*self.example_columns, *self.log.unique, *self.later_columns}
        return [n for n in self.columns if n in wanted and n in self.at_once]

    @property
    def target_columns(self) -> list[str]:
        """What the tasks add to an example."""
        names = [f"{task}/{part}" for task in self.tasks for part in ("label", "mask", "weight")]
        return names + [
            f"{task}/reference/{name}" for task, named in self.references.items() for name in named
        ]

    @cached_property
    def row_names(self) -> dict[str, str]:
        """File of the log → what its rows' ids are made from: its path without the endings that say how it is
        written, so that rows keep their ids in another format; the whole path where two files would share it.
        """
        stems = {file: _stem(file) for file in self.files[LOG]}
        shared = list(stems.values())
        return {file: stem if shared.count(stem) == 1 else file for file, stem in stems.items()}

    def shards(self, rows: Mapping[str, int]) -> int:
        """How many partitions so many rows of each source are worked in. Only from the rows, so that shards
        do not depend on the machine or the files' format."""
        return min(self.buckets, _partitions(rows))

    def buckets_of(self, partition: int, shards: int) -> range:
        """The buckets of a spill that make a partition."""
        each = self.buckets // shards
        return range(partition * each, (partition + 1) * each)


def _stem(file: str) -> str:
    path = PurePosixPath(file)
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return path.with_suffix("").as_posix()


def _partitions(rows: Mapping[str, int]) -> int:
    """How many there are at least for so many rows of each source."""
    shares = (n / (SHARD_ROWS if source == LOG else OTHER_ROWS) for source, n in rows.items())
    return _power_of_two(max(shares, default=0))


def _power_of_two(number: float) -> int:
    """The smallest power of two that is not below."""
    found = 1
    while found < number:
        found *= 2
    return found


def make_plan(
    recipe: Recipe, input_dir: Path, output_dir: Path, work_dir: Path, span: SpanRows | None = None
) -> Plan:
    """Finds the files and looks at their heads.

    Raises:
      DataError: a file or a column is missing, a type does not fit, or files and splits do not agree.
    """
    log = recipe.sources.log
    catalogs = {f"catalogs.{name}": catalog for name, catalog in recipe.sources.catalogs.items()}
    events = {f"events.{name}": source for name, source in recipe.sources.events.items()}
    sources: Mapping[str, Source] = {LOG: log} | catalogs | events
    files: dict[str, list[str]] = {}
    for what, source in sources.items():
        files[what] = resolve(source, input_dir, f"sources.{what}")
        check_columns(input_dir, files[what], source, f"sources.{what}")
    keyed = frozenset(
        name
        for name, catalog in recipe.sources.catalogs.items()
        if _by_key(catalog, [input_dir / file for file in files[f"catalogs.{name}"]])
    )
    read_by_pieces = {LOG, *(f"catalogs.{name}" for name in keyed), *events}
    files_read = {what: names for what, names in files.items() if what in read_by_pieces}
    most_rows = {what: _most_rows(sources[what], input_dir, names) for what, names in files_read.items()}
    return Plan(
        input_dir=input_dir,
        output_dir=output_dir,
        work_dir=work_dir,
        name=recipe.name,
        log=log,
        catalogs=recipe.sources.catalogs,
        events=recipe.sources.events,
        history=recipe.history,
        roles=recipe.roles,
        tasks=recipe.tasks,
        references=recipe.evaluation.references,
        splits=recipe.splits,
        downsampling=recipe.downsampling,
        columns=recipe.columns,
        example_columns=list(recipe.example_columns),
        files=files_read,
        keyed=keyed,
        files_of_splits=split_files(recipe.splits, files[LOG], input_dir),
        buckets=min(MAX_BUCKETS, 2 * _partitions(most_rows)),
        span=span,
    )


def _by_key(catalog: Catalog, paths: list[Path]) -> bool:
    if catalog.join == "auto":
        return sum(text_bytes(path) for path in paths) > IN_MEMORY_BYTES
    return catalog.join == "by_key"


def _most_rows(source: Source, input_dir: Path, files: list[str]) -> int:
    """More rows than the files have: exactly theirs of Parquet; of text a value takes two bytes at least."""
    rows = 0
    for name in files:
        if file_format(source, name) == "parquet":
            with parquet_file(input_dir / name) as file:
                rows += file.metadata.num_rows
        else:
            rows += text_bytes(input_dir / name) // (2 * len(source.columns))
    return rows


def pieces(plan: Plan) -> list[Piece]:
    """The sources cut into pieces: each Parquet file by row groups, other files whole."""
    found: list[Piece] = []
    for what, names in plan.files.items():
        source = source_of(plan, what)
        for number, name in enumerate(names):
            if file_format(source, name) != "parquet":
                found.append(Piece(len(found), what, number, name))
                continue
            with parquet_file(plan.input_dir / name) as file:
                groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            if not groups:  # a piece all the same, so that the source is known to have been read
                found.append(Piece(len(found), what, number, name, range(0)))
            start, first, size = 0, 1, 0
            for i, group in enumerate(groups):
                size += group.total_byte_size
                if size >= PIECE_BYTES or i + 1 == len(groups):
                    found.append(Piece(len(found), what, number, name, range(start, i + 1), first))
                    first += sum(g.num_rows for g in groups[start : i + 1])
                    start, size = i + 1, 0
    return found


def source_of(plan: Plan, what: str) -> Source:
    """The part of the recipe that describes a source."""
    kind, _, name = what.partition(".")
    return plan.log if what == LOG else getattr(plan, kind)[name]
