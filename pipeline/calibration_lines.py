"""What calibration came to, in words."""

from collections.abc import Iterator, Mapping
from typing import Any


def calibration_lines(training: Mapping[str, Any] | None) -> Iterator[str]:
    """A line a calibrated task: the fit, and log loss and ECE of the validation rows that it was fitted on.

    Args:
      training: as `trainer.fit` gives it; one that was written before there was calibration has none.
    """
    for task, of in ((training or {}).get("calibration") or {}).items():
        if of["problem"]:
            yield of["problem"]
            continue
        fit = ", ".join(f"{name} {value:.4g}" for name, value in of["parameters"].items())
        before, after = of["validation"]["before"], of["validation"]["after"]
        changes = ", ".join(
            f"{words} {before[metric]:.5f} to {after[metric]:.5f}"
            for metric, words in (("ece", "ECE"), ("logloss", "log loss"))
        )
        rows = f"on the {of['rows']:,} validation rows it was fitted on"
        yield f"{task}: {of['method']} ({fit}); {rows} {changes}"
