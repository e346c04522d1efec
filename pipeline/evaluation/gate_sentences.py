"""What a gate's verdict says: numbers rounded only as far as the sentence stays true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import wraps
from typing import Literal, ParamSpec

from pipeline.metric_names import DIRECTIONS

Status = Literal["passed", "failed", "skipped"]
# How much of a 95 % interval must keep a bound: all of it, or any of it.
Interval = Literal["whole", "any"]
Ends = tuple[float, float]
Round = Callable[[Decimal], Decimal]
P = ParamSpec("P")
# Digits of any float written out in full, and of a difference of two.
_PRECISION = 700


def _exactly(sentence: Callable[P, tuple[Status, str]]) -> Callable[P, tuple[Status, str]]:
    @wraps(sentence)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> tuple[Status, str]:
        with localcontext(prec=_PRECISION):
            return sentence(*args, **kwargs)

    return wrapped


def _exact(x: float) -> Decimal:
    # The shortest decimal that reads back as x: what a person wrote in the recipe, and no rounding.
    return Decimal(repr(float(x)))


def _rounding(numbers: Sequence[Decimal], agrees: Callable[[Round], bool]) -> Round:
    """The coarsest rounding, to 3 decimal places or more, under which a sentence stays true.

    Args:
      numbers: those printed; the places of the longest are enough to print all exactly.
      agrees: whether what the sentence says of exact numbers holds of the rounded ones.
    """
    most = max(3, *(-int(x.as_tuple().exponent) for x in numbers))
    for places in range(3, most + 1):
        unit = Decimal(1).scaleb(-places)
        if agrees(lambda x: x.quantize(unit)):  # noqa: B023, called at once
            break
    return lambda x: x.quantize(unit)


@_exactly
def bound_sentence(
    head: str,
    value: float,
    bound: float,
    side: Literal["lower", "upper"],
    interval: Interval | None = None,
    ends: Ends | None = None,
) -> tuple[Status, str]:
    """Whether a bound is kept, by the value, or by the end of its interval `ends` that decides."""
    v, b = _exact(value), _exact(bound)
    judged, end = v, ""
    if interval is not None:
        low = (side == "lower") == (interval == "whole")
        judged, end = _exact(ends[0 if low else 1]), "lower" if low else "upper"
    rounded = _rounding((v, judged, b), lambda to: to(judged).compare(to(b)) == judged.compare(b))
    said = f"{head} {rounded(v):,f}"
    if end:
        said += f": the {end} end of its 95 % interval, {rounded(judged):,f},"
    if judged == b:
        return "passed", f"{said} is exactly the {side} bound"
    outside = judged < b if side == "lower" else judged > b
    word, kind = ("below" if judged < b else "above"), ("bound" if outside else f"{side} bound")
    gap = abs(rounded(judged) - rounded(b))
    return ("failed" if outside else "passed"), f"{said} is {word} the {kind} {rounded(b):,f} by {gap:,f}"


def _badness(metric: str) -> Callable[[Decimal], Decimal]:
    """Smaller is better, so that one arithmetic serves every direction."""
    return {1: lambda x: -x, -1: lambda x: x, 0: lambda x: abs(x - 1)}[DIRECTIONS[metric]]


def _compared(head: str, metric: str, v: Decimal, b: Decimal, rounded: Round) -> str:
    """The value beside the serving model's."""
    badness = _badness(metric)
    drop = badness(v) - badness(b)
    gap = abs(badness(rounded(v)) - badness(rounded(b)))
    theirs = f"the serving model's {rounded(b):,f}"
    if drop == 0:
        compared = f"is as good as {theirs}"
    elif DIRECTIONS[metric]:
        compared = f"is {'below' if v < b else 'above'} {theirs} by {gap:,f}"
    else:
        compared = f"is {'further from' if drop > 0 else 'closer to'} 1 than {theirs} by {gap:,f}"
    return f"{head} {rounded(v):,f} {compared}"


@_exactly
def drop_sentence(
    head: str, metric: str, value: float, baseline: float, max_drop: float
) -> tuple[Status, str]:
    """Whether the value is worse than the serving model's by no more than `max_drop`."""
    v, b, allowed = _exact(value), _exact(baseline), _exact(max_drop)
    badness = _badness(metric)
    drop = badness(v) - badness(b)

    def agrees(to: Round) -> bool:
        printed = badness(to(v)) - badness(to(b))
        return printed.compare(to(allowed)) == drop.compare(allowed) and printed.compare(0) == drop.compare(0)

    rounded = _rounding((v, b, allowed), agrees)
    compared = _compared(head, metric, v, b, rounded)
    if drop > allowed:
        compared += f", more than the {rounded(allowed):,f} allowed"
    elif drop > 0:
        compared += f", within the {rounded(allowed):,f} allowed"
    elif drop < 0:
        compared += ", which is better"
    return ("failed" if drop > allowed else "passed"), compared


@_exactly
def drop_interval_sentence(
    head: str,
    metric: str,
    value: float,
    baseline: float,
    max_drop: float,
    interval: Interval,
    difference: Ends,
) -> tuple[Status, str]:
    """The same by the end that decides of `difference`, the interval of value - baseline.

    The whole interval within `max_drop` is a test of non-inferiority (CPMP/EWP/482/99); any of it within
    fails only what is worse beyond doubt. The metric has a direction.
    """
    v, b, allowed = _exact(value), _exact(baseline), _exact(max_drop)
    drops = sorted(_badness(metric)(_exact(end)) for end in difference)
    drop = drops[1] if interval == "whole" else drops[0]

    def agrees(to: Round) -> bool:
        return (
            to(v).compare(to(b)) == v.compare(b)
            and to(drop).compare(to(allowed)) == drop.compare(allowed)
            and to(drop).compare(0) == drop.compare(0)
        )

    rounded = _rounding((v, b, drop, allowed), agrees)
    said = f"{_compared(head, metric, v, b, rounded)}; "
    if drop <= 0:
        no_worse = "none" if interval == "whole" else "not all"
        said += f"{no_worse} of the difference's 95 % interval is worse"
    elif interval == "whole":
        said += f"the difference's 95 % interval reaches to {rounded(drop):,f} worse"
    else:
        said += f"the difference's 95 % interval begins at {rounded(drop):,f} worse"
    if drop > 0:
        said += f", {'more than' if drop > allowed else 'within'} the {rounded(allowed):,f} allowed"
    return ("failed" if drop > allowed else "passed"), said


@_exactly
def better_sentence(
    head: str, metric: str, value: float, baseline: float, difference: Ends
) -> tuple[Status, str]:
    """Whether all of `difference`, the interval of value - baseline, is on the metric's better side."""
    v, b, low, high = map(_exact, (value, baseline, *difference))
    worst, best = sorted((DIRECTIONS[metric] * low, DIRECTIONS[metric] * high))

    def agrees(to: Round) -> bool:
        signs = all(to(end).compare(0) == end.compare(0) for end in (low, high))
        return signs and to(v).compare(to(b)) == v.compare(b)

    rounded = _rounding((v, b, low, high), agrees)
    said = "significantly better" if worst > 0 else "not significantly better"
    if best < 0:
        said = "significantly worse"
    return ("passed" if worst > 0 else "failed"), (
        f"{_compared(head, metric, v, b, rounded)}, {said}: the difference's 95 % interval is "
        f"{rounded(low):,f} to {rounded(high):,f}"
    )
