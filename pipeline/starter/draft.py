"""Everything that is guessed of the data, put together: what the recipe is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.starter.columns import Field
from pipeline.starter.event_tasks import EventTask, event_tasks
from pipeline.starter.features import DAY_MS, Feature, features_of
from pipeline.starter.joins import CatalogJoin, Sources, sort_out
from pipeline.starter.leaks import Leak, catalog_leaks, later_than, log_leaks
from pipeline.starter.names import recipe_name, singular
from pipeline.starter.outcomes import Outcome, as_tasks, attributes, find_outcomes
from pipeline.starter.roles import find_roles, find_unique
from pipeline.starter.splits import Split, find_split
from pipeline.starter.tables import Table
from pipeline.starter.treatments import randomised


@dataclass
class Draft:
    """Attributes:
    name: of the recommender.
    root: the folder that paths are below: what `--input` is to be.
    roles: role → column, and why.
    unique: columns that identify a row, and how many rows of the sample repeat another's.
    split: where validation and test begin.
    outcomes: the log's columns known only after, and the tasks among them.
    event_tasks: tasks from event logs.
    derived: name → expression, and why.
    treatments: columns that look as if drawn at random.
    features: in the order of the recipe.
    left_out: column → why it is no feature.
    leaks: what the reader is to be warned of.
    """

    name: str
    root: Path
    sources: Sources
    roles: dict[str, tuple[Field, str]]
    unique: tuple[list[str], int]
    split: Split
    outcomes: list[Outcome]
    event_tasks: list[EventTask]
    leaks: list[Leak]
    given: dict[str, str]
    derived: dict[str, tuple[str, str]] = field(default_factory=dict)
    treatments: list[Field] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Table:
        return self.sources.log

    @property
    def tasks(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.kind is not None and o.refused is None]

    @property
    def slices(self) -> list[str]:
        """At most two columns by which metrics are worth a look."""
        known = [f for f in self.before if f.type in ("int", "string") and 2 <= f.distinct <= 12]
        scenario = self.roles["scenario"][0] if "scenario" in self.roles else None
        first = [f for f in known if f is scenario or f in self.treatments]
        return [f.name for f in [*first, *(f for f in known if f.type == "string" and f not in first)][:2]]

    @property
    def before(self) -> list[Field]:
        """Columns of single values that are known before, but a catalog's key."""
        fields = list(self.log.fields.values())
        for join in self.sources.catalogs:
            fields += [f for f in join.table.fields.values() if f is not join.key]
        return [f for f in fields if f.after is None and f.single]


def draft(tables: list[Table], root: Path, name: str) -> Draft:
    """Raises DataError where no source can be the log."""
    sources = sort_out(tables)
    _rename(sources)
    log = sources.log
    roles = find_roles(sources)
    unique, repeats = find_unique(log, roles)
    ids = {f.name for f, _ in roles.values()} | set(unique) | {c.on.name for c in sources.catalogs}
    keys = [roles[r][0] for r in ("item", "user", "request") if r in roles]
    given = attributes(log, keys)
    outcomes = find_outcomes(log, ids, given)
    user, time = (roles[r][0] if r in roles else None for r in ("user", "time"))
    split = find_split(log, time, user)
    as_tasks(outcomes, split.test_share, log.sample.total, log.rows)
    for o in outcomes:
        o.field.after = o.why
    skip = ids | {o.field.name for o in outcomes} | given.keys()
    leaks = log_leaks(log, outcomes, skip)
    for join in sources.catalogs:
        if join.one_to_one:
            for f in join.table.fields.values():
                if f is not join.key:
                    f.after = "a row for each row of the log: most likely written after it"
        else:
            leaks += catalog_leaks(log, join, [o for o in outcomes if o.positives >= 50])
    if time is not None:
        leaks += later_than(log, time, [c for c in sources.catalogs if not c.one_to_one and c.time is None])
    leaks = list({id(leak.field): leak for leak in reversed(leaks)}.values())[::-1]
    for leak in leaks:
        leak.field.after, leak.field.leak = leak.why, True
    taken = {*log.fields, *(n for c in sources.catalogs for n in c.table.fields), *(o.name for o in outcomes)}
    from_events = []
    for join in sources.events if time is not None else ():
        from_events += event_tasks(log, join, time, outcomes, taken | {t.name for t in from_events})
    found = Draft(name, root, sources, roles, (unique, repeats), split, outcomes, from_events, leaks, given)
    if "item" not in roles:
        own = [f for f in found.before if f.name in log.fields and f.name not in ids]
        found.treatments = [f for f in randomised(own, log.rows) if not f.notes]
        for f in found.treatments:
            f.notes.append("depends on no other column, as if drawn at random: a treatment? then a slice")
    _features(found)
    return found


def _rename(sources: Sources) -> None:
    """A joined row has one column of a name: where it is taken, a catalog's gets the catalog's name too."""
    taken = set(sources.log.fields)
    for join in sources.catalogs:
        fields = {}
        for f in join.table.fields.values():
            if f is not join.key and f.name in taken:
                f.name = recipe_name(f"{singular(join.table.name)}_{f.name}", taken)
            fields[f.name] = f
            if f is not join.key:
                taken.add(f.name)
        join.table.fields = fields


def _features(found: Draft) -> None:
    log, roles = found.log, {role: f for role, (f, _) in found.roles.items()}
    time, unique = roles.get("time"), found.unique[0]
    if time is not None:
        _moments(found, time)
    for f in log.fields.values():
        if f.after is not None or f is time:
            continue
        if f is roles.get("request"):
            found.left_out[f.name] = "names a request"
        elif "a day written as a number; read as one" in f.notes:
            found.left_out[f.name] = "days to come were never seen in training"
        elif f in (roles.get("user"), roles.get("item")) and f.distinct > 0.5 * log.rows:
            found.left_out[f.name] = "most are seen once: nothing to learn of them"
        elif unique == [f.name]:
            found.left_out[f.name] = "identifies the row"
        else:
            _add(found, f, log, next((r for r in ("position", "scenario") if f is roles.get(r)), ""))
    for join in found.sources.catalogs:
        for f in join.table.fields.values():
            if f is not join.key and f is not join.time and f.after is None:
                _add(found, f, join.table, "")


def _add(found: Draft, f: Field, table: Table, role: str) -> None:
    if f.name in {x.name for x in found.features} or (
        f.type in ("time", "date") and f"{f.name}_age" in found.derived
    ):
        return
    features, why = features_of(f, table.rows, table.sample.total, role != "")
    if role == "position" and features:
        features[0].note = "at serving, send one position for all, or leave it out"
    found.features += features
    if why is not None:
        found.left_out[f.name] = why


def _moments(found: Draft, time: Field) -> None:
    """The hour and weekday of the impression, and how old what has a time is by then."""
    names = set(found.log.fields)
    if not any(n.startswith("hour") for n in names):
        found.derived["hour"] = f"hour({time.name})", "UTC; `hour(t, 8)` for eight hours east"
    span = np.nanmax(time.numbers) - np.nanmin(time.numbers)
    if span >= 14 * DAY_MS and "weekday" not in names:
        found.derived["weekday"] = f"weekday({time.name})", "UTC"
    fields = [(f, found.log) for f in found.log.fields.values()]
    fields += [
        (f, c.table) for c in found.sources.catalogs for f in c.table.fields.values() if f is not c.time
    ]
    for f, _ in fields:
        if f.type in ("time", "date") and f is not time and f.after is None and not f.constant:
            day = f.name if f.type == "date" else f"days({f.name})"
            found.derived[f"{f.name}_age"] = f"days({time.name}) - {day}", "days from it to the impression"
    for name, (expression, _) in found.derived.items():
        kind = "{kind: numeric, scaling: log_standard}" if name.endswith("_age") else "{kind: categorical}"
        found.features.append(Feature(name, kind))


def catalogs_of(found: Draft) -> list[CatalogJoin]:
    """Those of which any column is used."""
    return [c for c in found.sources.catalogs if len(c.table.fields) > 1]
