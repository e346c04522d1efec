"""A run in Markdown, for a pull request, a chat or a job's summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.report.numbers import (
    MISSING,
    bytes_text,
    count_text,
    difference_interval_text,
    difference_text,
    interval_text,
    metric_text,
    seconds_text,
    share_text,
)
from pipeline.report.sentences import aftermath, headline, task_sentences
from pipeline.report.view import task_rows
from pipeline.report.words import metric_name

# What Markdown would take for its own signs, or for the end of a cell.
_SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~&"})


def _words(text: str) -> str:
    """Others' words on one line, as they are."""
    return " ".join(str(text).split()).translate(_SIGNS)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headings)]
    lines.append(["---"] * len(lines[0]))
    lines += [list(row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(metrics: Mapping[str, Any]) -> str:
    """The content of metrics.json in CommonMark with tables: verdict, tasks, gates, data, steps."""
    parts = [f"# {_words(metrics['recipe'])}: {headline(metrics)}", f"Run {_words(metrics['run'])}."]
    parts.append(
        ". ".join(_words(said).rstrip(".") for said in (metrics["reason"], aftermath(metrics)) if said) + "."
    )
    if metrics["failure"]:
        parts.append(f"Stopped in {_words(metrics['failure']['step'])}:")
        parts.append("\n".join(f"    {line}" for line in metrics["failure"]["message"].splitlines()))
    told = task_sentences(metrics)
    if told:
        parts.append("\n".join(f"- {_words(sentence)}" for _, sentence in told))
        parts += ["## Tasks", _tasks(metrics)]
    if metrics["gates"]:
        order = {"failed": 0, "skipped": 1, "passed": 2}
        gates = sorted(metrics["gates"], key=lambda gate: order[gate["status"]])
        rows = [
            [f"**{g['status']}**" if g["status"] == "failed" else g["status"], _words(g["sentence"])]
            for g in gates
        ]
        parts += ["## Gates", _table(("verdict", "gate"), rows)]
    if metrics["vectors"]:
        parts += ["## Vectors", _vectors(metrics["vectors"])]
    if metrics["rows"]:
        parts += ["## Data", _data(metrics["rows"])]
    steps = [step for step in metrics["seconds"] if step != "total"]
    if steps:
        rows = [
            [
                f"{step} (cached)" if step in metrics["cached"] else step,
                seconds_text(metrics["seconds"][step]),
                bytes_text(metrics["memory"].get(step)),
            ]
            for step in steps
        ]
        rows.append(["total", seconds_text(metrics["seconds"]["total"]), ""])
        parts += ["## Steps", _table(("step", "took", "most memory"), rows)]
    return "\n\n".join(parts) + "\n"


def _tasks(metrics: Mapping[str, Any]) -> str:
    headings = (
        "task",
        "metric",
        "new model",
        "95 % interval",
        "serving",
        "difference",
        "95 % interval",
        "gates",
    )
    rows = []
    for task in task_rows(metrics):
        for row in task["rows"]:
            difference = row["difference_interval"]
            rows.append(
                [
                    _words(task["name"]),
                    metric_name(row["metric"]),
                    metric_text(row["value"], row["interval"]),
                    _words(row["note"] or "") or interval_text(row["interval"]),
                    metric_text(row["baseline"], row["interval"]),
                    difference_text(row["difference"], difference, like=row["value"] or 0.0),
                    difference_interval_text(difference),
                    {"pass": "passed", "fail": "**failed**", "none": MISSING}[task["gate"]],
                ]
            )
    return _table(headings, rows)


def _vectors(features: Mapping[str, Any]) -> str:
    headings = (
        "feature",
        "rows without",
        "dead numbers",
        "shift from training",
        "shift from serving",
        "by chance",
    )
    rows = [
        [
            _words(name),
            share_text(of["shown"]["absent"], of["shown"]["rows"]) or MISSING,
            count_text(of["shown"]["dead"]),
            *(metric_text(of["shift"][what]) for what in ("training", "serving", "chance")),
        ]
        for name, of in features.items()
    ]
    return _table(headings, rows)


def _data(rows: Mapping[str, Any]) -> str:
    splits = ", ".join(f"{count_text(rows[split])} {split}" for split in ("train", "validation", "test"))
    said = [
        f"{count_text(rows['read'])} rows read: {splits}, {count_text(rows['dropped'])} dropped, "
        f"{count_text(rows['dead'])} dead."
    ]
    said += [
        f"- {count_text(dead['rows'])} × {_words(dead['kind'])} ({_words(dead['source'])}): "
        f"{_words(dead['reason'])}"
        for dead in rows["dead_letters"]
    ]
    return "\n".join(said[:1]) + ("\n\n" + "\n".join(said[1:]) if said[1:] else "")
