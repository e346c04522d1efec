"""What a run of one span has to do: which spans it ingests, and which it trains on."""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.digests import code_digest, text_digest
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_digest, matching
from pipeline.ingest.moments import iso, moment
from pipeline.ingest.part import ingested_part
from pipeline.ingest.span_rows import SpanRows
from pipeline.recipe import Recipe
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.parts import TimeSplit
from pipeline.spans.calendar import Calendar
from pipeline.spans.contents import Content, content
from pipeline.spans.store import SpanStore, catalog_digest

_CHANGED = "its rows or a catalog changed, events that may label them came, or windows of labels closed"


@dataclass(frozen=True)
class Ingestion:
    """A span to ingest.

    Attributes:
      number, name: of the span.
      version: that it becomes.
      content, made: see `store.Version`.
      recipe: the part of it that ingestion depends on, with the files that have rows of the span.
      rows: to take of these files.
      again: why it is ingested again, in words; empty where no version of it counts yet.
    """

    number: int
    name: str
    version: int
    content: str
    made: str
    recipe: Recipe
    rows: SpanRows
    again: str = ""

    def told(self, run: str) -> dict[str, Any]:
        """What its version is known by, when a run has made it; see `store.version_of`."""
        return {"version": self.version, "content": self.content, "made": self.made, "run": run}


@dataclass(frozen=True)
class SpanRun:
    """A run of one span, before it began.

    Attributes:
      number, name: of the span.
      ingestions: those to do, in order: the span itself and those of its window that are not as they were.
      window: the spans before it that have been ingested, by name, in order.
      left_out: spans of its window that have rows and were never ingested, or refused by the data gate.
      lost: spans of its window that were ingested and cannot be used or made again: other code or another recipe
        made them, or their files are gone, and the log has no row of them any more.
      content: digest of the rows of all of `window` and of the span, as they are now.
      catalogs: catalog that has changed → those of these spans that keep what it said before.
    """

    number: int
    name: str
    ingestions: tuple[Ingestion, ...]
    window: tuple[str, ...]
    left_out: tuple[str, ...]
    content: str
    catalogs: dict[str, list[str]] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


def resolve(recipe: Recipe, key: str, input_dir: Path, home: Path, name: str) -> SpanRun:
    """Looks at the sources' files and at what was ingested before.

    Args:
      recipe: with `spans`.
      key: which private key there is, as `pipeline.private.key_id` tells it.
      input_dir: the folder that the sources' paths are below.
      home: the recommender's folder.
      name: of the span.

    Raises:
      BadSpan: it is no name of a span.
      DataError: the log has no row of it, and none was ingested as it would be now; or a file cannot be read.
    """
    calendar = Calendar.of(recipe.spans)
    number = calendar.number(name)
    sources = _Sources(recipe, key, input_dir, SpanStore(home), calendar)
    if number not in sources.log.spans and sources.state(number)[0] is None:
        there = [calendar.name(n) for n in sources.log.spans]
        has = f"its rows are of {there[0]} to {there[-1]}" if there else "no row has a time"
        raise DataError(f"sources.log: no row of the span {calendar.name(number)}; {has}")
    found: list[Ingestion] = []
    window, left_out, lost, contents = [], [], [], {}
    for earlier in range(number - recipe.spans.window, number):
        state, ingestion = sources.state(earlier)
        if state is None:
            if earlier in sources.log.spans:
                left_out.append(calendar.name(earlier))
            elif sources.was_ingested(earlier):
                lost.append(calendar.name(earlier))
            continue
        window.append(calendar.name(earlier))
        contents[calendar.name(earlier)] = state
        found += [ingestion] if ingestion else []
    state, ingestion = sources.state(number, own=True)
    contents[calendar.name(number)] = state
    found += [ingestion] if ingestion else []
    return SpanRun(
        number,
        calendar.name(number),
        tuple(found),
        tuple(window),
        tuple(left_out),
        text_digest(json.dumps(contents), sources.made),
        sources.kept_catalogs([name for name in contents if name not in {one.name for one in found}]),
        tuple(lost),
    )


class _Sources:
    """A recipe's log and events, by span."""

    def __init__(self, recipe: Recipe, key: str, input_dir: Path, store: SpanStore, calendar: Calendar):
        self._recipe, self._store, self._calendar = recipe, store, calendar
        self.log = content(
            recipe.sources.log, recipe.roles.time, input_dir, "sources.log", calendar, store.index, key
        )
        self._events = {
            name: content(s, s.time, input_dir, f"sources.events.{name}", calendar, store.index, key)
            for name, s in recipe.sources.events.items()
        }
        self._catalogs = {
            name: catalog_digest(file_digest(input_dir / file) for file in files)
            for name, catalog in recipe.sources.catalogs.items()
            if catalog.time is None and (files := matching(catalog.files, input_dir))
        }
        part = ingested_part(recipe).model_dump_json(exclude={"splits"})
        code = code_digest("pipeline.components.ingestion", "pipeline.components.statistics")
        self.made = text_digest(
            part, recipe.spans.model_dump_json(exclude={"window", "drift", "catalogs"}), code, key
        )

    def state(self, number: int, own: bool = False) -> tuple[str | None, Ingestion | None]:
        """A span's content as it is now, and what to do where its newest version is of another.

        Args:
          number: of the span.
          own: ingest it although it never was; other spans are then left out: content None.
        """
        name = self._calendar.name(number)
        last, newest = self._store.last_number(name), self._store.newest(name)
        if number not in self.log.spans:  # the log's files may be deleted once a span is ingested
            usable = newest is not None and newest.made == self.made
            return (newest.content if usable else None), None
        if not last and not own:
            return None, None
        ingestion = self._ingestion(number, name, last + 1)
        if newest is None:
            return ingestion.content, ingestion
        if newest.made != self.made:
            return ingestion.content, replace(ingestion, again="code or recipe reads it otherwise")
        if newest.content != ingestion.content:
            return ingestion.content, replace(ingestion, again=_CHANGED)
        return ingestion.content, None

    def was_ingested(self, number: int) -> bool:
        """Whether there ever was a version of a span."""
        return self._store.last_number(self._calendar.name(number)) > 0

    def kept_catalogs(self, names: list[str]) -> dict[str, list[str]]:
        """Catalog → those of some spans whose rows have something else of it than it says now."""
        found: dict[str, list[str]] = {}
        for name in names:
            kept = self._store.newest(name).catalogs
            for catalog, now in self._catalogs.items():
                if kept.get(catalog, now) != now:
                    found.setdefault(catalog, []).append(name)
        return found

    def _ingestion(self, number: int, name: str, version: int) -> Ingestion:
        calendar, recipe = self._calendar, self._recipe
        start, end = calendar.start(number), calendar.start(number + 1)
        since = _since(recipe, start)
        first = None if since is None else int(calendar.numbers(since))
        digests = {"log": self.log.digest([number])}
        if recipe.spans.catalogs == "newest":
            digests |= {f"catalogs.{name}": now for name, now in self._catalogs.items()}
        sources = recipe.sources
        log = sources.log.model_copy(update={"files": _literally(self.log.having(first, number))})
        events = {}
        for source, of in self._events.items():
            events[source], digests[source] = self._labelling(source, of, number, end)
        tail = start + round((1 - recipe.spans.validation) * calendar.length)
        splits = TimeSplit(by="time", validation_from=iso(tail), test_from=iso(end))
        part = ingested_part(recipe).model_copy(
            update={
                "splits": splits,
                "sources": sources.model_copy(update={"log": log, "events": events}),
            }
        )
        home = frozenset(f for f, c in self.log.files.items() if c.home == number)
        rows = SpanRows(start, end, since, home)
        return Ingestion(number, name, version, text_digest(json.dumps(digests)), self.made, part, rows)

    def _labelling(self, name: str, of: Content, number: int, end: int) -> tuple[object, str]:
        """The events that may label a span's rows: their source, and what it comes to. Once all windows are
        over it stays the same, whatever comes later."""
        source = self._recipe.sources.events[name]
        tasks = [t.events for t in self._recipe.tasks.values() if t.events and t.events.source == name]
        over = end + max((milliseconds(t.window) for t in tasks), default=0)
        last = int(self._calendar.numbers(over - 1))
        until = of.newest if source.complete_until is None else moment(source.complete_until)
        changes: dict[str, object] = {"files": _literally(of.having(number, last) or list(of.files)[:1])}
        if until is not None:
            changes["complete_until"] = iso(min(until, over))
        digest = of.digest(n for n in of.spans if number <= n <= last)
        return source.model_copy(update=changes), f"{digest} {changes.get('complete_until')}"


def _since(recipe: Recipe, start: int) -> int | None:
    """Milliseconds from which earlier rows tell something about a span's."""
    windows = [earlier.window for earlier in recipe.history.values()]
    if None in windows:
        return None
    return start - max((milliseconds(w) for w in windows), default=0)


def _literally(files: list[str]) -> list[str]:
    return [glob.escape(name) for name in files]
