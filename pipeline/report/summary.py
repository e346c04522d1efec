"""What a run's terminal output ends with: a table of tasks and the verdict in words."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from pipeline.calibration_lines import calibration_lines
from pipeline.evaluation.gates import counted
from pipeline.report.sentences import aftermath

_SHOWN = {
    "binary": ("auc", "gauc"),
    "regression": ("mae", "rmse"),
    "multiclass": ("accuracy", "macro_f1"),
    "ordinal": ("quadratic_kappa", "mae"),
}
_KINDS = 5  # of dead letters that are named
_HANG = len("  pass  ")
_STYLE = {
    "pushed": "bold green",
    "unchanged": "bold green",
    "refused": "bold red",
    "failed": "bold red",
    "evaluated": "bold",
    "ingested": "bold green",
}


def summary(metrics: dict[str, Any]) -> Group:
    """The content of metrics.json as a few lines for a terminal."""
    parts: list[Any] = []
    if any(task["metrics"] for task in metrics["tasks"].values()):
        parts.append(_tasks(metrics))
    parts += [Text(f"  calibration  {line}") for line in calibration_lines(metrics["training"])]
    if metrics.get("tuning"):
        parts.append(Text(metrics["tuning"]["sentence"]))
    parts += [Text(line) for line in _rows(metrics["rows"])]
    parts += [_Gate(gate) for gate in metrics["gates"]]
    parts.append(Text(metrics["status"] + _said(metrics), style=_STYLE[metrics["status"]]))
    return Group(*parts)


class _Gate:
    """A gate's sentence after its mark; on a terminal its further lines stand below the first."""

    def __init__(self, gate: dict[str, Any]):
        mark = {"passed": "pass", "failed": "FAIL", "skipped": "skip"}[gate["status"]]
        self._text = Text(f"  {mark}  {gate['sentence']}", style="red" if mark == "FAIL" else "")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.no_wrap:  # a pipe: a line a gate, whatever its length
            yield self._text
            return
        width = options.max_width - _HANG
        for i, line in enumerate(self._text[_HANG:].wrap(console, width)):
            yield (self._text[:_HANG] if i == 0 else Text(" " * _HANG)) + line


def _rows(rows: dict[str, Any] | None) -> Iterator[str]:
    """What became of the rows, and the kinds of those that were of no use, the most frequent first."""
    if not rows:  # none were read: nothing to do, or failed before
        return
    splits = ", ".join(f"{rows[split]:,} {split}" for split in ("train", "validation", "test"))
    yield f"  rows  {rows['read']:,} read: {splits}, {rows['dropped']:,} dropped, {rows['dead']:,} dead"
    kinds = sorted(rows["dead_letters"], key=lambda dead: -dead["rows"])
    told = [f"{dead['rows']:,} x {dead['kind']} ({dead['source']})" for dead in kinds[:_KINDS]]
    if len(kinds) > _KINDS:
        told.append(f"{len(kinds) - _KINDS} more kinds")
    if told:
        yield f"  dead  {'; '.join(told)}: `mtl data explain` shows the first of each"


def _said(metrics: dict[str, Any]) -> str:
    failure = metrics["failure"]
    if failure:
        return f" at {failure['step']}: {failure['message']}"
    failed = counted(gate["status"] for gate in metrics["gates"]).failed
    if metrics["status"] == "refused" and failed:  # their sentences stand right above
        return f" by {failed} gate{'s' if failed > 1 else ''}. {aftermath(metrics)}"
    return f": {metrics['reason']}"


def _tasks(metrics: dict[str, Any]) -> Table:
    ceilings = sorted(
        {name for task in metrics["references"].values() for name in task if name != "constant"}
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("task", "metric", "test", "95 % interval", "serving model", *ceilings, "gate"):
        table.add_column(heading, justify="left" if heading in ("task", "metric", "gate") else "right")
    for name, task in metrics["tasks"].items():
        shown = [metric for metric in _SHOWN.get(task["kind"], ()) if metric in task["metrics"]]
        for metric in shown:
            interval = task["intervals"].get(metric)
            baseline = (task["baseline"] or {}).get(metric)
            known = [metrics["references"].get(name, {}).get(c, {}).get(metric) for c in ceilings]
            table.add_row(
                name,
                metric,
                _number(task["metrics"][metric]),
                " – ".join(map(_number, interval)) if interval else "",
                _number(baseline),
                *[_number(k) for k in known],
                task["gate"] if metric == shown[0] else "",  # of the task, whatever metrics its gates read
            )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 1e9 else f"{value:.6g}"
