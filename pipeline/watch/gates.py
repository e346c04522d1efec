"""Gates on vectors: have they moved, do too many rows lack one, are too many of their numbers dead?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.evaluation.gate_sentences import Status, bound_sentence
from pipeline.evaluation.gates import Verdict


@dataclass(frozen=True)
class VectorGate:
    """What a feature's vectors in the evaluated rows must keep; see `pipeline.recipe.vector_gates`."""

    vectors: str
    metric: Literal["shift", "absent", "dead"]
    upper: float
    against: Literal["training", "serving"] | None = None


def judge_vectors(
    gates: Iterable[VectorGate], watched: Mapping[str, Mapping[str, Any]], serving: str | None
) -> list[Verdict]:
    """A verdict a gate.

    Args:
      gates: each of a feature that was watched.
      watched: what `watch` found.
      serving: the version that serves, such as "3"; None where there is none.
    """
    judges = {"shift": _shift, "absent": _absent, "dead": _dead}
    return [
        Verdict(
            *judges[gate.metric](gate, watched[gate.vectors], serving), metric=gate.metric, gate="vectors"
        )
        for gate in gates
    ]


def not_watched(gates: Iterable[VectorGate]) -> list[Verdict]:
    """A verdict for each gate where nothing was watched."""
    return [
        Verdict(
            "skipped",
            f"{gate.vectors}: {gate.metric} is not judged: only `mtl run` watches vectors",
            metric=gate.metric,
            gate="vectors",
        )
        for gate in gates
    ]


def _shift(gate: VectorGate, of: Mapping[str, Any], serving: str | None) -> tuple[Status, str]:
    theirs = "training's vectors" if gate.against == "training" else f"version {serving}'s vectors"
    head, why = f"{_named(gate, of)}: shift from {theirs}", of["notes"].get(gate.against)
    value = of["shift"][gate.against]
    if value is not None:
        status, said = bound_sentence(head, value, gate.upper, "upper")
        mean = of["shift"]["means"][gate.against]
        lengths = [f"{of[where]['norm']['median']:,.4g}" for where in ("shown", gate.against)]
        moved = f"the mean's move is {mean:,.3f} of it, the covariance's {value - mean:,.3f}"
        return status, f"{said} ({moved}; median length {lengths[0]}, there {lengths[1]}; {_rows(of)})"
    there = of["serving"] is not None or of["fault"]
    other = there and not of["fault"] and any(of[f"serving_{n}"] != of[n] for n in ("encoder", "dimension"))
    if gate.against == "serving" and (other or not there):
        return "skipped", f"{_named(gate, of)}: shift from the serving model's vectors is not judged: {why}"
    return "failed", f"{head} could not be measured, so its gate cannot pass: {why}"


def _named(gate: VectorGate, of: Mapping[str, Any]) -> str:
    return f"{gate.vectors} (encoder {of['encoder_name']})" if of["encoder_name"] else gate.vectors


def _absent(gate: VectorGate, of: Mapping[str, Any], serving: str | None) -> tuple[Status, str]:
    shown = of["shown"]
    head = f"{_named(gate, of)}: share of rows without a vector"
    status, said = bound_sentence(head, shown["absent"] / max(shown["rows"], 1), gate.upper, "upper")
    reasons = ", ".join(f"{rows:,} × {reason}" for reason, rows in list(shown["reasons"].items())[:3])
    return status, f"{said} ({shown['rows']:,} rows{f': {reasons}' if reasons else ''})"


def _dead(gate: VectorGate, of: Mapping[str, Any], serving: str | None) -> tuple[Status, str]:
    head, dead = f"{_named(gate, of)}: share of dead numbers", of["shown"]["dead"]
    if dead is None:
        return "failed", f"{head} could not be measured, so its gate cannot pass: no row has a vector"
    status, said = bound_sentence(head, dead / of["dimension"], gate.upper, "upper")
    return status, f"{said} ({dead:,} of {of['dimension']:,}; {_rows(of)})"


def _rows(of: Mapping[str, Any]) -> str:
    return f"{of['shown']['rows'] - of['shown']['absent']:,} rows with a vector"
