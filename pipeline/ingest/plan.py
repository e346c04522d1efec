"""What the workers are told: the parts of a recipe that ingestion reads, and how the work is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.ingest.constraints import Constraints
from pipeline.ingest.files import file_format, resolve, text_bytes
from pipeline.ingest.labels import Labels
from pipeline.ingest.read import check_columns
from pipeline.ingest.read_parquet import parquet_file
from pipeline.ingest.splits import split_files
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Catalog, Column, Log, Roles, Splits, Task

# Of the log as text. Rows of one partition are in memory together, with all that was joined to them and a
# sorted copy; with this, 6 million rows of 45 features took hardly more memory than one million.
PARTITION_BYTES = 16 << 20
PIECE_BYTES = 64 << 20
MAX_PARTITIONS = 512


@dataclass(frozen=True)
class Piece:
    """Work for one worker: a file, or some row groups of a Parquet file."""

    number: int
    file_number: int
    file: str
    row_groups: range | None = None
    first_position: int = 1


@dataclass(frozen=True)
class Plan:
    """Everything a worker needs, without the recipe's models (which other processes cannot unpickle)."""

    input_dir: Path
    output_dir: Path
    work_dir: Path
    log: Log
    catalogs: dict[str, Catalog]
    roles: Roles
    tasks: dict[str, Task]
    references: dict[str, dict[str, str]]
    splits: Splits
    columns: dict[str, Column]
    example_columns: list[str]
    files: list[str]
    files_of_splits: dict[str, list[int]] = field(default_factory=dict)
    partitions: int = 1

    @cached_property
    def labels(self) -> Labels:
        types = {name: column.expression_type for name, column in self.columns.items()}
        return Labels(self.tasks, self.references, types)

    @cached_property
    def constraints(self) -> Constraints:
        return Constraints(self.columns, self.example_columns)

    @cached_property
    def needed(self) -> list[str]:
        """The columns that are written, or read by a label, a join, a rule or the search for repeats."""
        wanted = {*self.example_columns, *self.labels.columns, *self.constraints.columns, *self.log.unique}
        wanted |= {catalog.on or catalog.key for catalog in self.catalogs.values()}
        return [name for name in self.columns if name in wanted]

    @property
    def log_columns(self) -> list[str]:
        return [name for name in self.needed if name in self.log.columns]

    @property
    def target_columns(self) -> list[str]:
        """What the tasks add to an example."""
        names = [f"{task}/{part}" for task in self.tasks for part in ("label", "mask", "weight")]
        return names + [
            f"{task}/reference/{name}" for task, named in self.references.items() for name in named
        ]


def make_plan(recipe: Recipe, input_dir: Path, output_dir: Path, work_dir: Path) -> Plan:
    """Finds the files and looks at their heads.

    Raises:
      DataError: a file or a column is missing, a type does not fit, or files and splits do not agree.
    """
    log = recipe.sources.log
    files = resolve(log, input_dir, "sources.log")
    check_columns(input_dir, files, log, "sources.log")
    size = sum(text_bytes(input_dir / name) for name in files)
    return Plan(
        input_dir,
        output_dir,
        work_dir,
        log,
        recipe.sources.catalogs,
        recipe.roles,
        recipe.tasks,
        recipe.evaluation.references,
        recipe.splits,
        recipe.columns,
        list(recipe.example_columns),
        files,
        split_files(recipe.splits, files, input_dir),
        # only from the input, so that shards do not depend on the machine
        min(MAX_PARTITIONS, math.ceil(size / PARTITION_BYTES) or 1),
    )


def pieces(plan: Plan) -> list[Piece]:
    """The log cut into pieces: each Parquet file by row groups, other files whole."""
    found: list[Piece] = []
    for number, name in enumerate(plan.files):
        if file_format(plan.log, name) != "parquet":
            found.append(Piece(len(found), number, name))
            continue
        with parquet_file(plan.input_dir / name) as file:
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        start, first, size = 0, 1, 0
        for i, group in enumerate(groups):
            size += group.total_byte_size
            if size >= PIECE_BYTES or i + 1 == len(groups):
                found.append(Piece(len(found), number, name, range(start, i + 1), first))
                first += sum(g.num_rows for g in groups[start : i + 1])
                start, size = i + 1, 0
    return found
