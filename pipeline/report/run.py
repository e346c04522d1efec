"""A finished run as DataFrames, for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.form import DeadLetters, GateVerdict, ReliabilityBin, SliceMetric, read

if TYPE_CHECKING:
    import pandas as pd


def _frame(rows: list[dict[str, Any]], columns: Any) -> pd.DataFrame:
    """Rows as a frame, with its columns also where there is no row."""
    import pandas as pd

    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(columns))


_METRICS = ("task", "kind", "examples", "gate", "metric", "value", "low", "high")
_METRICS += ("baseline", "diff_low", "diff_high", "note")


@dataclass(frozen=True)
class Run:
    """What a run of `mtl run`, or `mtl evaluate`, came to.

    Example: `Run.load("output/demo/latest").metrics.query("metric == 'auc'")`.

    Attributes:
      content: the whole of metrics.json, as docs/metrics.schema.json documents it.
    """

    content: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Loads a run from its folder, its report folder, or metrics.json itself.

        Raises:
          FileNotFoundError: if there is no report there.
          ValueError: metrics.json is cut off, or another version of this project wrote it.
        """
        path = Path(path)
        for file in (path, path / "metrics.json", path / "report" / "metrics.json"):
            if file.is_file():
                try:
                    return cls(read(file))
                except ValueError as error:
                    raise ValueError(f"{file} cannot be read: {error}") from None
        raise FileNotFoundError(f"{path} has no report/metrics.json: is it the folder of a run?")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a task and metric over the whole test split.

        Columns: task, kind, examples, gate, metric, value, low, high, baseline, diff_low,
        diff_high, note, and one a reference ("reference/<name>") there is.
        """
        rows = []
        for name, task in self.content["tasks"].items():
            references = self.content["references"].get(name, {})
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
        return _frame(rows, _METRICS)

    @cached_property
    def slices(self) -> pd.DataFrame:
        """One row a task, slice and metric: task, slice, metric, value, baseline, low, high, diff_low,
        diff_high, examples, note."""
        return _frame(self.content["slices"], SliceMetric.model_fields)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """One row a task, score ("prediction", "baseline") and bin: weight, mean_label, mean_prediction, low,
        high."""
        return _frame(self.content["reliability"], ReliabilityBin.model_fields)

    @cached_property
    def vectors(self) -> pd.DataFrame:
        """One row a feature that is a vector and where its vectors were seen ("training", "shown" in the
        evaluated rows, "serving": shown to the model that serves): rows, items, absent, dead,
        norm/<quantile>, shift (of "shown" from that), encoder, dimension."""
        rows = []
        for name, of in self.content.get("vectors", {}).items():
            for where in ("training", "shown", "serving"):
                if of[where] is not None:
                    theirs = "serving_" if where == "serving" else ""
                    rows.append(
                        {"feature": name, "where": where}
                        | {n: of[where][n] for n in ("rows", "items", "absent", "dead")}
                        | {f"norm/{n}": x for n, x in (of[where]["norm"] or {}).items()}
                        | {"shift": of["shift"].get(where)}
                        | {n: of[f"{theirs}{n}"] for n in ("encoder", "dimension")}
                    )
        return _frame(rows, ("feature", "where", "rows", "items", "absent", "dead", "shift"))

    @cached_property
    def gates(self) -> pd.DataFrame:
        """One row a verdict: status, sentence, task, metric, slice, gate."""
        return _frame(self.content["gates"], GateVerdict.model_fields)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch of training, indexed by its number; nested values as columns "losses/click"."""
        import pandas as pd

        epochs = (self.content["training"] or {}).get("epochs") or []
        frame = pd.json_normalize(epochs, sep="/")
        return frame.set_index("epoch") if "epoch" in frame else frame

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a step, in order: step, seconds, memory (most resident bytes; NaN: not known), cached."""
        rows = [
            {
                "step": step,
                "seconds": seconds,
                "memory": self.content["memory"].get(step),
                "cached": step in self.content["cached"],
            }
            for step, seconds in self.content["seconds"].items()
            if step != "total"
        ]
        return _frame(rows, ("step", "seconds", "memory", "cached"))

    @cached_property
    def dead_letters(self) -> pd.DataFrame:
        """One row a source and kind of reason: source, kind, rows, read, reason, file, position."""
        rows = (self.content["rows"] or {}).get("dead_letters") or []
        return _frame(rows, DeadLetters.model_fields)
