"""A draft as the text of a recipe, each guess marked by a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from pipeline.ingest.files import FORMATS
from pipeline.starter.columns import Field
from pipeline.starter.draft import Draft, catalogs_of
from pipeline.starter.features import Feature
from pipeline.starter.names import NOT_NAMES, suggests
from pipeline.starter.outcomes import Outcome
from pipeline.starter.tables import Table

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./*=-]*")
ENOUGH_FOR_A_GATE = 200  # positives expected on test: the AUC's standard error is then about .02


def quoted(text: str) -> str:
    """A text in YAML's flow form."""
    if _PLAIN.fullmatch(text) and text.lower() not in NOT_NAMES:
        return text
    shown = "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}" for c in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{shown}"'


def recipe_text(draft: Draft, command: str) -> str:
    """The recipe; `command` is how it is run."""
    parts = [
        [
            "# Written by `mtl recipe init` from a look at the data. `# guess:` marks what to confirm,",
            "# `# leak:` what was found to know the outcome and so is no feature; the rest was plain.",
            f"#   {command}",
            "version: 1",
            f"name: {draft.name}",
        ],
        ["sources:", *_sources(draft)],
        _roles(draft),
        _mapping("derived", [(n, quoted(e), f"guess: {w}") for n, (e, w) in draft.derived.items()]),
        _features(draft.features, draft.left_out),
        ["tasks:", *_tasks(draft)],
        [f"splits:{_note('guess: ' + draft.split.note)}", *(f"  {line}" for line in draft.split.lines)],
        _model(draft),
        _gates(draft),
        _evaluation(draft),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _note(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return f"  # {shown}" if text and text != "guess: " else ""


def _mapping(name: str, lines: list[tuple[str, str, str]]) -> list[str]:
    return [f"{name}:", *(f"  {key}: {value}{_note(note)}" for key, value, note in lines)] if lines else []


def _sources(draft: Draft) -> Iterable[str]:
    log, roles = draft.log, {f.name: role for role, (f, _) in draft.roles.items()}
    unique, repeats = draft.unique
    yield "  log:"
    yield from _files(log, "    ")
    if unique:
        note = (
            f"guess: {repeats:,} of {log.rows:,} rows repeat another"
            if repeats
            else "guess: no row repeats another"
        )
        yield f"    unique: [{', '.join(unique)}]{_note(note)}"
    required = {*unique, *(n for n, r in roles.items() if r in ("user", "item", "time"))}
    yield "    columns:"
    yield from _columns(log, "      ", draft, required)
    joins = catalogs_of(draft)
    if joins:
        yield "  catalogs:"
    for join in joins:
        yield f"    {join.table.name}:"
        yield from _files(join.table, "      ")
        note = f"{join.matched:.0%} of the log's {join.on.name} seen are in it"
        yield f"      key: {join.key.name}{_note('guess: ' + note if join.matched < 0.95 else note)}"
        if join.on.name != join.key.name:
            yield f'      "on": {join.on.name}{_note("guess: by its name and values")}'
        if join.time is not None:
            yield f"      time: {join.time.name}{_note('guess: a row holds from then on')}"
        yield "      columns:"
        yield from _columns(
            join.table, "        ", draft, set(), join.on.type if join.on.type != join.key.type else None
        )
    if draft.event_tasks:
        yield "  events:"
    for events in draft.sources.events if draft.event_tasks else ():
        yield f"    {events.table.name}:"
        yield from _files(events.table, "      ")
        yield f"      keys: [{', '.join(events.keys)}]{_note('guess: columns that it shares with the log')}"
        yield f"      time: {events.time.name}"
        if events.unique is not None:
            yield f"      unique: [{events.unique.name}]{_note('guess: by its name; few rows repeat it')}"
        yield "      columns:"
        yield from _columns(events.table, "        ", draft, set())


def _files(table: Table, indent: str) -> Iterable[str]:
    patterns = table.group.patterns
    written = quoted(patterns[0]) if len(patterns) == 1 else f"[{', '.join(quoted(p) for p in patterns)}]"
    yield f"{indent}files: {written}"
    if not any(ending in patterns[0] for ending in FORMATS):
        yield f"{indent}format: {table.group.format}"
    if table.group.format == "csv" and table.group.delimiter != "," and ".tsv" not in patterns[0]:
        yield f"{indent}delimiter: {json.dumps(table.group.delimiter)}"


def _columns(
    table: Table, indent: str, draft: Draft, required: set[str], kind: str | None = None
) -> Iterable[str]:
    for f in table.fields.values():
        needed = f.name in required and not f.missing.any()
        yield f"{indent}{f.name}: {_column(f, needed)}{_note(_column_note(f, draft))}"
    for column, why in table.unread.items():
        yield f"{indent}# {column}: not read; {why}"


def _column(f: Field, required: bool) -> str:
    spec = f.spec
    parts = [f"type: {quoted(spec.type) if '[' not in spec.type else json.dumps(spec.type)}"]
    if f.column != f.name:
        parts.append(f"column: {quoted(f.column)}")
    if spec.type == "time":
        parts.append(f"unit: {spec.unit}")
    if spec.separator is not None:
        parts.append(f"separator: {json.dumps(spec.separator)}")
    if spec.missing != [""]:
        parts.append(f"missing: {json.dumps(spec.missing)}")
    if f.after is not None:
        parts.append("known: after")
    elif required:
        parts.append("required: true")
    return spec.type if parts == [f"type: {spec.type}"] else f"{{{', '.join(parts)}}}"


def _column_note(f: Field, draft: Draft) -> str:
    if f.leak:
        return f"leak: {f.after}"
    notes = list(f.notes)
    if f.after is not None:
        notes.append(f.after)
    elif f is draft.log.fields.get(f.name) and f.name in draft.given and suggests(f.column, "measure"):
        notes.append(f"the same in all rows of a {draft.given[f.name]}")
    return f"guess: {'; '.join(notes)}" if notes else ""


def _roles(draft: Draft) -> list[str]:
    if not draft.roles:
        return ["roles: {}  # guess: no column reads as a user, an item or a time"]
    return _mapping(
        "roles",
        [
            (role, f.name, why if why.startswith("joins") else f"guess: {why}")
            for role, (f, why) in draft.roles.items()
        ],
    )


def _features(features: list[Feature], left_out: dict[str, str]) -> list[str]:
    lines = [f"  {x.name}: {x.settings}{_note('guess: ' + x.note)}" for x in features]
    return ["features:", *lines, *(f"  # {name}: none; {why}" for name, why in left_out.items())]


def _tasks(draft: Draft) -> Iterable[str]:
    for o in draft.tasks:
        yield f"  {o.name}: {_task(o)}{_note('guess: ' + '; '.join(_task_notes(o)))}"
    for task in draft.event_tasks:
        yield f"  {task.name}: {{kind: {task.kind}, {task.settings}}}{_note('guess: ' + task.note)}"
    for o in draft.outcomes:
        if o.refused is not None:
            yield f"  # {o.name}: {_task(o)}  # {o.refused}"


def _task_notes(o: Outcome) -> list[str]:
    if o.parent is None:
        return o.notes
    elsewhere = "missing" if o.field.missing[~o.parent.happened].mean() > 0.5 else "0"
    return [f"it is {elsewhere} in all other rows", *o.notes]


def _task(o: Outcome) -> str:
    parts = [f"kind: {o.kind}", f"label: {quoted(o.label)}"]
    if o.parent is not None:
        parts.append(f"where: {quoted(o.parent.condition)}")
    if o.kind == "regression":
        parts += [f"loss: {o.loss}"] if o.loss != "mse" else []
        parts.append("loss_weight: 0.1")
    return f"{{{', '.join(parts)}}}"


def _model(draft: Draft) -> list[str]:
    rows = draft.log.sample.total
    experts, units, dim = (2, 32, 8) if rows < 100_000 else (4, 32, 16) if rows < 1_000_000 else (4, 64, 16)
    batch, epochs = (256, 20) if rows < 100_000 else (512, 10) if rows < 1_000_000 else (2048, 4)
    several = len(draft.tasks) + len(draft.event_tasks) > 1
    name = (
        f"{{name: mmoe, experts: {experts}, units: [{units}]}}"
        if several
        else f"{{name: hard_sharing, units: [{units}]}}"
    )
    judged = [o.name for o in _judged(draft)]
    objective = f", objective: {{{', '.join(f'{n}: 1' for n in judged)}}}" if judged and several else ""
    return [
        f"model:{_note(f'guess: for some {rows:,} rows')}",
        f"  architecture: {name}",
        "  tower_units: [16]",
        f"  embedding_dim: {dim}",
        "",
        "weighting: {name: equal}",
        "",
        "training:",
        f"  batch_size: {batch}",
        f"  epochs: {epochs}",
        f"  stopping: {{patience: 3{objective}}}",
    ]


def _judged(draft: Draft) -> list[Outcome]:
    """Binary tasks that are frequent enough to be judged by."""
    log, share = draft.log, draft.split.test_share
    return [
        o
        for o in draft.tasks
        if o.kind == "binary" and o.positives / log.rows * log.sample.total * share >= ENOUGH_FOR_A_GATE
    ]


def _gates(draft: Draft) -> list[str]:
    judged = _judged(draft)
    if not judged:
        return ["gates: none  # guess: no binary task is frequent enough for one"]
    lines = [f"  - {{task: {o.name}, metric: auc, lower: 0.5, max_drop: 0.02}}" for o in judged]
    return ["gates:  # guess: better than chance; raise the bounds once you know what is usual", *lines]


def _evaluation(draft: Draft) -> list[str]:
    lines = ["evaluation:", f"  slices: [{', '.join(draft.slices)}]"] if draft.slices else []
    binary = [o.name for o in draft.tasks if o.kind == "binary"]
    binary += [t.name for t in draft.event_tasks if t.kind == "binary"]
    if binary:
        weights = ", ".join(f"{n}: 1" for n in binary)
        lines += [""] if lines else []
        lines += ["serving:", f"  score: {{{weights}}}  # guess: what each is worth is yours to say"]
    return lines
