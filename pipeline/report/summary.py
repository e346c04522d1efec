"""What a run's terminal output ends with: a table of tasks and the verdict in words."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.calibration_lines import calibration_lines

_SHOWN = {
    "binary": ("auc", "gauc"),
    "regression": ("mae", "rmse"),
    "multiclass": ("accuracy", "macro_f1"),
    "ordinal": ("quadratic_kappa", "mae"),
}
_STYLE = {
    "pushed": "bold green",
    "unchanged": "bold green",
    "refused": "bold red",
    "failed": "bold red",
    "evaluated": "bold",
}


def summary(metrics: dict[str, Any]) -> Group:
    """The content of metrics.json as a few lines for a terminal."""
    parts: list[Any] = []
    if any(task["metrics"] for task in metrics["tasks"].values()):
        parts.append(_tasks(metrics))
    parts += [Text(f"  calibration  {line}") for line in calibration_lines(metrics["training"])]
    if metrics.get("tuning"):
        parts.append(Text(metrics["tuning"]["sentence"]))
    for gate in metrics["gates"]:
        mark = {"passed": "pass", "failed": "FAIL", "skipped": "skip"}[gate["status"]]
        parts.append(Text(f"  {mark}  {gate['sentence']}", style="red" if mark == "FAIL" else ""))
    failure = metrics["failure"]
    said = f" at {failure['step']}: {failure['message']}" if failure else f": {metrics['reason']}"
    parts.append(Text(metrics["status"] + said, style=_STYLE[metrics["status"]]))
    return Group(*parts)


def _tasks(metrics: dict[str, Any]) -> Table:
    ceilings = sorted(
        {name for task in metrics["references"].values() for name in task if name != "constant"}
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("task", "metric", "test", "95 % interval", "serving model", *ceilings, "gate"):
        table.add_column(heading, justify="left" if heading in ("task", "metric", "gate") else "right")
    for name, task in metrics["tasks"].items():
        for metric in _SHOWN.get(task["kind"], ()):
            if metric not in task["metrics"]:
                continue
            interval = task["intervals"].get(metric)
            baseline = (task["baseline"] or {}).get(metric)
            known = [metrics["references"].get(name, {}).get(c, {}).get(metric) for c in ceilings]
            table.add_row(
                name,
                metric,
                _number(task["metrics"][metric]),
                f"{interval[0]:.4f} – {interval[1]:.4f}" if interval else "",
                _number(baseline),
                *[_number(k) for k in known],
                task["gate"],
            )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
