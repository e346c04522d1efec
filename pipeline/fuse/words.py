"""What a search came to, as sentences, a table, and the patch."""

import textwrap
from typing import Any

import yaml

CAVEAT = (
    "This reorders only items that were shown: what would have followed items that were not, or shown items "
    "in another place, is in no log. It says which weights to try, and not what they will bring: try them on "
    "live traffic before they replace what serves."
)
_SHOWN = 12


def counts(facts: dict[str, Any]) -> list[str]:
    """What was measured on."""
    of = facts["validation"]
    left = f"; {of['in_none']:,} rows are in no request" if of["in_none"] else ""
    found = [
        f"{of['rows']:,} validation rows in {of['requests']:,} requests, {of['single']:,} of them of one row"
        f"{left}. score is the {facts['fusion']} of {', '.join(facts['fused'])}."
    ]
    for task, n in of["tasks"].items():
        said = f"{task}: the order matters in {n['open']:,} of {n['requests']:,} requests with known labels"
        nothing, same = n["requests"] - n["counted"], n["counted"] - n["open"]
        if nothing:
            why = "all labels alike" if facts["metric"] == "gauc_request" else "nothing to find"
            said += f"; {nothing:,} have {why} and do not count"
        if same:
            said += f"; {same:,} (one row, or all alike) count the same whatever the weights"
        found.append(f"{said}.")
    return found


def outcome(facts: dict[str, Any]) -> list[str]:
    """What was chosen, how sure it is, and what it does not say."""
    chosen, now = facts["chosen"], facts["now"]
    if chosen is None:
        nearest = facts["nearest"]
        missed = "; ".join(
            f"{task} {nearest['metrics'][task]:.4f}, {least:.4f} asked"
            for task, least in facts["least"].items()
            if nearest["metrics"][task] < least
        )
        return [
            f"None of {facts['tried']:,} points keeps the bounds; the nearest, {_weights(nearest)}, misses "
            f"{missed}. No patch is written: loosen fuse.bounds, or train a model that can."
        ]
    name = f"The mean {facts['metric']} of {_several(facts['maximize'])}"
    if facts["unchanged"]:
        return [
            f"None of {facts['tried']:,} points is better than the score as it is. {name} is "
            f"{now['mean']:.4f}{_interval(facts['interval'])}. The patch repeats its weights.",
            CAVEAT,
        ]
    elsewhere = facts["gain_elsewhere"]
    honest = (
        ""
        if elsewhere is None
        else f" Picked on half of the users and measured on the other half the gain is {elsewhere:+.4f}."
    )
    return [
        f"Chosen: {_weights(chosen)}. {name} is {chosen['mean']:.4f}{_interval(facts['interval'])}, "
        f"{now['mean']:.4f} with the score as it is: {chosen['mean'] - now['mean']:+.4f}"
        f"{_interval(facts['difference_interval'], sign=True)}.",
        f"It is the best of {facts['tried']:,} points on these very rows, so its figures are a little too "
        f"good.{honest}",
        CAVEAT,
    ]


def headings(facts: dict[str, Any]) -> list[str]:
    """Of `table`: weights, then metrics."""
    weights = [f"{'w' if facts['fusion'] == 'sum' else 'power'} {task}" for task in facts["fused"]]
    return ["", *weights, *facts["tasks"], "mean"]


def table(facts: dict[str, Any]) -> list[list[str]]:
    """The front from the best in the first task down, thinned out to a dozen points that keep its ends and
    the one chosen."""
    points = facts["front"]
    ends = [max(range(len(points)), key=lambda i: points[i]["metrics"][t]) for t in facts["tasks"]]
    kept = {i for i, p in enumerate(points) if p["mark"]} | set(ends)
    even = [round(i * (len(points) - 1) / (_SHOWN - 1)) for i in range(_SHOWN)]
    for i in even:
        if len(kept) < _SHOWN:
            kept.add(i)
    return [row(facts, points[i]) for i in sorted(kept)]


def row(facts: dict[str, Any], point: dict[str, Any]) -> list[str]:
    """A point as a row of `headings`."""
    weights = [f"{point['weights'][task]:.4g}" for task in facts["fused"]]
    return [point["mark"], *weights, *(f"{v:.4f}" for v in point["metrics"].values()), f"{point['mean']:.4f}"]


def patch(facts: dict[str, Any]) -> str:
    """The chosen weights as a recipe's section, with where they come from."""
    validation, chosen, now = facts["validation"], facts["chosen"], facts["now"]
    bounds = [f"{task} at least {least:.4f}" for task, least in facts["least"].items()]
    notes = [
        "Weights of `score`, chosen by `mtl fuse`. To use them: mtl run RECIPE --set @THIS_FILE,",
        "or put them into the recipe's `serving:`.",
        f"run:        {facts['run']}",
        f"model:      {facts['model']}",
        f"validation: {validation['rows']:,} rows, {validation['requests']:,} requests",
        f"objective:  mean {facts['metric']} (k = {facts['k']}) of {_several(facts['maximize'])}"
        + (f"; {', '.join(bounds)}" if bounds else ""),
        f"value:      {chosen['mean']:.4f}{_interval(facts['interval'])}; {now['mean']:.4f} with the score "
        f"as it was, a difference of {chosen['mean'] - now['mean']:+.4f}"
        f"{_interval(facts['difference_interval'], sign=True)}",
        f"search:     {facts['tried']:,} points, seed {facts['seed']}",
        f"date:       {facts['date']}",
        *textwrap.wrap(CAVEAT, 106),
    ]
    body = {"serving": {"score": chosen["weights"], "fusion": facts["fusion"]}}
    return "".join(f"# {line}\n" for line in notes) + yaml.safe_dump(body, sort_keys=False)


def _several(weights: dict[str, float]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    return ", ".join(f"{task} ({weight:g})" for task, weight in weights.items())


def _weights(point: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{task}: {weight:.4g}" for task, weight in point["weights"].items()) + "}"


def _interval(ends: list[float] | None, sign: bool = False) -> str:
    form = "+.4f" if sign else ".4f"
    return "" if ends is None else f" (95 % interval {ends[0]:{form}} to {ends[1]:{form}})"
