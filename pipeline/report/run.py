"""A finished run as DataFrames, for notebooks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run's metrics.json.

    Attributes:
      metrics: the whole of it (see `pipeline.report.metrics_json.build_metrics`).
    """

    metrics: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Loads a run from its folder, its report folder, or metrics.json itself.

        Raises:
          FileNotFoundError: if there is no report there.
        """
        path = Path(path)
        for file in (path, path / "metrics.json", path / "report" / "metrics.json"):
            if file.is_file():
                return cls(json.loads(file.read_text(encoding="utf-8")))
        raise FileNotFoundError(f"{path} has no report/metrics.json: is it the folder of a run?")

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """One row a task and metric over the whole test split.

        Columns: task, kind, examples, gate, metric, value, low, high, baseline, diff_low,
        diff_high, note, and one a reference ("reference/<name>") there is.
        """
        rows = []
        for name, task in self.metrics["tasks"].items():
            references = self.metrics["references"].get(name, {})
            for metric, value in task["metrics"].items():
                low, high = task["intervals"].get(metric, (None, None))
                diff_low, diff_high = task["differences"].get(metric, (None, None))
                rows.append(
                    {
                        "task": name,
                        "kind": task["kind"],
                        "examples": task["examples"],
                        "gate": task["gate"],
                        "metric": metric,
                        "value": value,
                        "low": low,
                        "high": high,
                        "baseline": (task["baseline"] or {}).get(metric),
                        "diff_low": diff_low,
                        "diff_high": diff_high,
                        "note": task["notes"].get(metric),
                    }
                    | {f"reference/{who}": values.get(metric) for who, values in references.items()}
                )
        return pd.DataFrame(rows)

    @cached_property
    def slices(self) -> pd.DataFrame:
        """One row a task, slice and metric; columns as `build_metrics` names them."""
        return pd.DataFrame(self.metrics["slices"])

    @cached_property
    def gates(self) -> pd.DataFrame:
        """One row a verdict: status, sentence, task, metric, slice, gate."""
        return pd.DataFrame(self.metrics["gates"])

    @cached_property
    def training(self) -> pd.DataFrame:
        """One row an epoch, indexed by its number; nested values as columns "losses/click" etc."""
        epochs = (self.metrics["training"] or {}).get("epochs") or []
        frame = pd.json_normalize(epochs, sep="/")
        return frame.set_index("epoch") if "epoch" in frame else frame
