"""Skew: is what is asked of the served model like what was trained on?"""

from __future__ import annotations

from pipeline.drift.distances import Dataset, distances
from pipeline.drift.judge import beyond, least_bound, sentence
from pipeline.drift.requests import Requests
from pipeline.evaluation.gates import Verdict
from pipeline.recipe.skew import Skew

_GATE = "skew"


def judge_skew(
    requests: Requests, named: str, training: Dataset, columns: list[str], user: str | None, skew: Skew
) -> list[Verdict]:
    """What of served requests differs too much from what was trained on.

    Args:
      requests: what was served.
      named: what the sentences call them.
      training: statistics of what was trained on.
      columns, user: see `distances`.
      skew: the recipe's bounds.

    Returns:
      A verdict for each distance beyond its bound: failed, or skipped where skew only warns. Where there is none,
      one that passed, with the distance that came nearest to its bound.
    """
    found, nearest = [], (-1.0, "")
    for distance in distances(requests.statistics, training, columns, {}, user, requests.requests):
        given = getattr(skew, distance.measure)
        if distance.measure == "values":
            given = skew.columns.get(distance.name, given)
        bound, why = (given, "by the recipe") if given else (least_bound(distance), "by default")
        said = sentence(_GATE, distance, named, "what was trained on", bound, why)
        if distance.value > bound:
            found.append(beyond(_GATE, said, skew.then))
        nearest = max(nearest, (distance.value / bound, said))
    if found:
        return found
    said = f"skew: {named} are like what was trained on; the nearest to its bound is {nearest[1][6:]}"
    return [Verdict("passed", said, gate=_GATE)]
