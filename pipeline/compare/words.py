"""A comparison's sentences, and its Markdown; the terminal prints the same."""

from typing import Any

HEADINGS = ("variant", "task", "metric", "alone", "together", "difference", "95 % interval", "verdict")
COSTS = ("variant", "parameters", "training s", "step ms", "scoring 1,000 rows ms")


def task_rows(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row of `HEADINGS` for each variant and task, by the metric that decides."""
    rows = []
    for variant in facts["variants"]:
        for task, of in variant["tasks"].items():
            found = of["metrics"][of["metric"]]
            interval = "" if found["low"] is None else f"{found['low']:+.3f} to {found['high']:+.3f}"
            numbers = (f"{_number(found[n])}" for n in ("single_task", "value"))
            change = "" if found["difference"] is None else f"{found['difference']:+.4f}"
            rows.append((variant["name"], task, of["metric"], *numbers, change, interval, of["verdict"]))
    return rows


def cost_rows(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row of `COSTS` for one model a task, then for each variant with how many times that it is."""
    alone = facts["single_task"]["cost"]
    rows = [(f"{len(facts['known'])} models, one a task", *_costs(alone, {}))]
    return rows + [(v["name"], *_costs(v["cost"], v["cost"]["relative"])) for v in facts["variants"]]


def sentences(facts: dict[str, Any]) -> list[str]:
    """What a comparison says."""
    return [sentence for variant in facts["variants"] for sentence in _of_variant(variant)] + [
        f"Judged on {facts['rows']:,} test rows"
        + (f" of {facts['users']:,} users" if facts["users"] else "")
        + f" with {len(facts['seeds'])} seeds. Each verdict is by a 95 % interval of its own: of 20 tasks "
        "without a difference one is expected to show one. Whoever picks the best of several variants by "
        "these figures picks luck with it: run it, and judge it on newer rows."
    ]


def markdown(facts: dict[str, Any]) -> str:
    """One page."""
    return "\n\n".join(
        (
            f"# {facts['recipe']}: does sharing help?",
            f"Variants against one model a task, on the examples of {facts['run']}; seeds "
            f"{', '.join(map(str, facts['seeds']))}. Made by `mtl compare`.",
            "\n".join(f"- {s}" for s in sentences(facts)),
            "## By task",
            _table(HEADINGS, task_rows(facts)),
            "## Cost",
            _table(COSTS, cost_rows(facts)),
            "## Gradients",
            "Cosines between tasks' gradients on validation rows after each epoch; conflict is the share of "
            "batches in which it is below 0.",
            _table(("variant", "tasks", "mean cosine", "conflict"), _gradient_rows(facts)),
            "",
        )
    )


def _of_variant(variant: dict[str, Any]) -> list[str]:
    name, sides = variant["name"], variant["seesaw"]
    told = {v: [t for t, of in variant["tasks"].items() if of["verdict"] == v] for v in _SAID}
    parts = [f"{said} {_several(told[v])}" for v, said in _SAID.items() if told[v]]
    found = [f"{name}: sharing {'; '.join(parts)}."]
    if sides["seesaw"]:
        found.append(
            f"{name}: a seesaw: sharing serves {_several(sides['gain'])} at the cost of "
            f"{_several(sides['lose'])}."
        )
    pairs = {p: v for p, v in variant["gradients"]["pairs"].items() if v["cosine"] is not None}
    if pairs:
        pair, worst = min(pairs.items(), key=lambda p: p[1]["cosine"])
        found.append(
            f"{name}: gradients of {pair} agree least, mean cosine {worst['cosine']:+.2f}, below 0 in "
            f"{worst['negative']:.0%} of the batches measured."
        )
    relative = variant["cost"]["relative"]
    found.append(
        f"{name}: {_times(relative['parameters'])} the weights, {_times(relative['train_seconds'])} the "
        f"training time and {_times(relative['predict_ms'])} the scoring time of one model a task."
    )
    return found


_SAID = {"helps": "helps", "hurts": "hurts", "cannot tell": "makes no difference that can be told of"}


def _gradient_rows(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (v["name"], pair, _number(of["cosine"]), "" if of["negative"] is None else f"{of['negative']:.0%}")
        for v in facts["variants"]
        for pair, of in v["gradients"]["pairs"].items()
    ]


def _costs(cost: dict[str, Any], relative: dict[str, Any]) -> list[str]:
    shown = {
        "parameters": f"{cost['parameters']:,}",
        "train_seconds": f"{cost['train_seconds']:.1f}",
        "step_ms": f"{cost['step_ms']:.2f}",
        "predict_ms": f"{cost['predict_ms']:.2f}",
    }
    return [v + (f" ({relative[n]:.2f}×)" if relative.get(n) is not None else "") for n, v in shown.items()]


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _several(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _times(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f} times"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
