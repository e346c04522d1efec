"""What of a recipe says how rows are read that are to be scored: the columns that its model takes, and keys.

Tasks, events, references and downsampling are left out, and what is known only after the impression is read
where history is made of it, and else not. A column that no file has is missing in
every row, as it would be of a request that leaves it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.ingest.errors import DataError
from pipeline.ingest.files import COMPRESSED, FORMATS, matching, resolve
from pipeline.ingest.history import History
from pipeline.ingest.read import written_names
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Catalog, Column, FileSplit, Log, Roles, Source, Sources

SPLIT = "train"  # all rows are in this one


@dataclass(frozen=True)
class RowsToScore:
    """How rows are read.

    Attributes:
      recipe: for `ingest`; its sources have only columns that files have.
      keys: the columns that tell which row a prediction is of, in order, with their types: those of the log's
        `unique` and of roles.
      missing: inputs of the model that no file has → why they are missing.
    """

    recipe: Recipe
    keys: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)


def log_and_folder(recipe: Recipe, source: Path, inputs: Collection[str]) -> tuple[Log, Path]:
    """The log to be scored, and the folder that its files and the catalogs' are below.

    Args:
      recipe: has the log and the catalogs.
      source: that folder; or one file, which takes the place of the recipe's. Catalogs are then looked for
        beside it and above it, as far as the recipe's own files are below theirs: in the folder that has most
        of those that the model reads, and of folders alike in the nearest.
      inputs: the columns that the model takes.
    """
    log = recipe.sources.log
    if source.is_dir():
        return log, source
    source = source.resolve()
    depth = max(len(PurePosixPath(pattern).parts) for pattern in log.files)
    above = source.parents[:depth]
    read = [c for c in recipe.sources.catalogs.values() if (c.columns.keys() - {c.key}) & {*inputs}]
    folder = max(above, key=lambda place: sum(bool(matching(c.files, place)) for c in read))
    suffixes = [s for s in source.suffixes if s not in COMPRESSED]
    by_ending = bool(suffixes) and suffixes[-1] in FORMATS
    update = {"files": [source.relative_to(folder).as_posix()], **({"format": None} if by_ending else {})}
    return log.model_copy(update=update), folder


def rows_to_score(recipe: Recipe, log: Log, input_dir: Path, inputs: Iterable[str]) -> RowsToScore:
    """Looks at the heads of the files, and leaves out of the recipe what they do not have.

    A catalog of which there is no file is not joined where the log's files have columns of it by name; those,
    and history that they have by name, are the rows' own, as in a log of requests.

    Args:
      recipe: says what columns are.
      log, input_dir: see `log_and_folder`.
      inputs: the columns that the model takes.

    Raises:
      DataError: the log or a catalog has no files, a file cannot be read, or no file has a column that the
        recipe requires and the model takes, or any column that it takes.
    """
    return _Reading(recipe, log, input_dir, inputs).found()


class _Reading:
    def __init__(self, recipe: Recipe, log: Log, input_dir: Path, inputs: Iterable[str]):
        self._recipe, self._log, self._input_dir = recipe, log, input_dir
        self._inputs = {name: recipe.columns[name] for name in inputs}
        self._keys = [*dict.fromkeys([*log.unique, *recipe.roles.named().values()])]
        self._missing: dict[str, str] = {}
        self._own: dict[str, Column] = {}  # of the log's files, by what the recipe calls them

    def found(self) -> RowsToScore:
        recipe = self._recipe
        files = resolve(self._log, self._input_dir, "sources.log")
        given = {c.column or n: n for n, c in self._log.columns.items()}
        elsewhere = {n: c for n, c in recipe.columns.items() if n not in self._log.columns}
        there = written_names(self._input_dir, files, self._log, {*given, *elsewhere})
        self._own = {n: self._log.columns[n] for written, n in given.items() if written in there}
        extra = {n: c for n, c in elsewhere.items() if n in there and self._log.header}
        history = {n: h for n, h in recipe.history.items() if n in self._inputs and n not in extra}
        self._own |= {n: extra[n] for n in recipe.history if n in extra and n in self._inputs}
        joined = {n: self._joined(n, c, extra, history) for n, c in recipe.sources.catalogs.items()}
        joined = {n: c for n, c in joined.items() if c is not None}
        available = self._own | {n: c for j in joined.values() for n, c in j.columns.items()}
        history = {n: h for n, h in history.items() if self._can_be_made(n, available)}
        for name in self._inputs:
            if name not in available and name not in history:
                self._missing.setdefault(name, f"no file of the log has {self._written(name)}")
        self._refuse(files, available)
        return self._reading(joined, history, available)

    def _written(self, name: str) -> str:
        column = self._log.columns.get(name)
        return column.column or name if column is not None else name

    def _joined(
        self, name: str, catalog: Catalog, extra: Mapping[str, Column], history: Mapping[str, object]
    ) -> Catalog | None:
        """The catalog with the columns that are needed and there; None where it is not joined."""
        needed = {*self._inputs, *self._keys, *self._reads(history)} & catalog.columns.keys() - {catalog.key}
        if not needed:
            return None
        own = {n: extra[n] for n in sorted(needed) if n in extra}
        if own and not matching(catalog.files, self._input_dir):
            self._own |= own
            why = f"no file of the log has it, and the catalog {name} has no files"
            self._missing |= dict.fromkeys(needed & self._inputs.keys() - own.keys(), why)
            return None
        key = catalog.on or catalog.key
        for column in (key, self._recipe.roles.time if catalog.time else key):
            if column not in self._own:
                why = f"no file of the log has {column}, by which the catalog {name} is joined"
                self._missing |= dict.fromkeys(needed & self._inputs.keys(), why)
                return None
        what = f"sources.catalogs.{name}"
        files = resolve(catalog, self._input_dir, what)
        given = {c.column or n: n for n, c in catalog.columns.items()}
        there = {given[w] for w in written_names(self._input_dir, files, catalog, {*given})}
        for column in needed - there:
            self._missing[column] = f"no file of the catalog {name} has it"
        # its key and time are needed as ever: ingestion says so where they are not there
        kept = (needed & there) | {catalog.key} | ({catalog.time} - {None})
        return catalog.model_copy(update={"columns": _only(catalog, kept)})

    def _reads(self, history: Iterable[str]) -> set[str]:
        specs = {n: self._recipe.history[n] for n in history}
        read = History(specs, self._recipe.column_types).columns
        return read | ({self._recipe.roles.time} if specs else set())

    def _can_be_made(self, name: str, available: Mapping[str, Column]) -> bool:
        lacking = sorted(self._reads([name]) - available.keys())
        if lacking:
            self._missing[name] = f"history is made from {', '.join(lacking)}, which no file has"
        return not lacking

    def _refuse(self, files: list[str], available: Mapping[str, Column]) -> None:
        shown = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
        needed = [n for n in self._missing if n in self._inputs and self._inputs[n].required]
        if needed:
            raise DataError(
                f"{shown}: the recipe requires {', '.join(sorted(needed))}: "
                + "; ".join(dict.fromkeys(self._missing[n] for n in sorted(needed)))
            )
        if not available.keys() & self._inputs.keys():
            raise DataError(
                f"{shown}: no column that the model takes is there; it takes {', '.join(self._inputs)}"
            )

    def _reading(
        self, joined: Mapping[str, Catalog], history: Mapping[str, object], available: Mapping[str, Column]
    ) -> RowsToScore:
        recipe = self._recipe
        needed = {*self._inputs, *self._keys, *self._reads(history)}
        needed |= {catalog.on or catalog.key for catalog in joined.values()}
        if any(catalog.time for catalog in joined.values()):
            needed.add(recipe.roles.time)
        unique = self._log.unique if all(n in self._own for n in self._log.unique) else []
        log = self._log.model_copy(update={"columns": self._own})
        log = log.model_copy(update={"columns": _only(log, needed), "unique": unique})
        roles = {role: name for role, name in recipe.roles.named().items() if name in available}
        reading = recipe.part("dead", "beam").model_copy(
            update={
                "sources": Sources(log=log, catalogs=dict(joined)),
                "roles": Roles(**roles),
                "history": {n: recipe.history[n] for n in history},
                "tasks": {},
                "downsampling": None,
                # not validated: the other splits name no file
                "splits": FileSplit.model_construct(by="file", train=log.files, validation=[], test=[]),
            }
        )
        keys = {n: available[n].type for n in self._keys if n in available}
        missing = {n: self._missing[n] for n in self._inputs if n in self._missing}
        return RowsToScore(reading, keys, missing)


def _only(source: Source, wanted: Iterable[str]) -> dict[str, Column]:
    """A source's wanted columns; all of a CSV file without a header, where places count."""
    wanted = {*wanted} if source.header else {*source.columns}
    return {n: c for n, c in source.columns.items() if n in wanted}
