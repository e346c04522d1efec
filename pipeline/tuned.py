"""What a search came to: values as KerasTuner keeps them, facts for the report, and a patch of the recipe."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_RESULTS = "tuner_results.json"


def encoded(value: Any) -> str:
    """A choice as a text: KerasTuner's choices are single values, a recipe's may be lists and mappings."""
    return json.dumps(value, sort_keys=True)


def decoded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `encoded`, of the choices among a trial's values; numbers of a range stay."""
    return {path: json.loads(value) if isinstance(value, str) else value for path, value in values.items()}


def facts(folder: Path, trials: int) -> dict[str, Any]:
    """What TFX's Tuner wrote.

    Args:
      folder: of its `tuner_results`.
      trials: how many were asked for.

    Returns:
      `trials` [{trial, gain, values}] of those that came to an end, the best first; `asked`; `sentence`.
    """
    found = [
        {
            "trial": int(row["trial_id"]),
            "gain": row["score"],
            "values": decoded({n: v for n, v in row.items() if n not in ("trial_id", "score")}),
        }
        for row in json.loads((folder / _RESULTS).read_text())
    ]
    return {"asked": trials, "trials": found, "sentence": _sentence(found, trials)}


def _sentence(found: list[dict[str, Any]], asked: int) -> str:
    best = found[0]
    now = next((trial for trial in found if trial["trial"] == 0), None)
    head = f"tuning: of {len(found)} trials" + (f" ({asked} asked)" if len(found) != asked else "")
    if now is best:
        return f"{head} none beats the recipe as it is, whose mean gain on validation is {best['gain']:.4f}"
    over = f", {best['gain'] - now['gain']:+.4f} over the recipe as it is" if now else ""
    values = ", ".join(f"{path}={encoded(value)}" for path, value in best["values"].items())
    won = f"{head} number {best['trial']} won with a mean gain on validation of {best['gain']:.4f}"
    return f"{won}{over}: {values}"


def patch(tuning: dict[str, Any], run: str) -> str:
    """The winner's values as a patch of the recipe, which leaves tuning out."""
    nested: dict[str, Any] = {"tune": None}
    for path, value in tuning["trials"][0]["values"].items():
        *above, last = path.split(".")
        at = nested
        for key in above:
            at = at.setdefault(key, {})
        at[last] = value
    notes = [
        "The best trial's settings, without the search: mtl run RECIPE --set @THIS_FILE",
        f"run: {run}",
        tuning["sentence"],
    ]
    return "".join(f"# {line}\n" for line in notes) + yaml.safe_dump(nested, sort_keys=False)
