"""What in an epoch's record asks for attention: sentences that name it and say what to try."""

from collections.abc import Mapping

DEAD = 0.05
"""An expert is dead where its mean weight is below this share of a uniform gate's, for every gate."""
COLLAPSED = 0.95
"""A gate has collapsed where one expert's mean weight is above this."""
UNIFORM = 0.995
"""A gate does not choose where its normalized entropy is above this."""
DOMINATING = 0.8
"""A task dominates where its weighted gradient norm is above this share of all tasks'."""


def alarms(entry: Mapping, bounds: Mapping[str, str] | None = None) -> list[str]:
    """The alarms of one epoch.

    Args:
        entry: of `EpochRecorder.history`; `gates`, `gradients` and `task_weights` are read.
        bounds: task → "least" or "greatest", of tasks whose weight is at a bound of the weighting's range.
    """
    return [
        *_experts(entry.get("gates") or {}),
        *_gates(entry.get("gates") or {}),
        *_gradients(entry.get("gradients") or {}, entry["task_weights"]),
        *(
            f"the weight of task {task} is held at the {bound} value of its range: widen the weighting's "
            "range, or set the task's loss_weight and use equal weighting"
            for task, bound in (bounds or {}).items()
        ),
    ]


def _experts(gates: Mapping) -> list[str]:
    """A level's gates share experts by name: those before the last slash of a gate's name are a level."""
    used: dict[tuple[str, str], float] = {}
    for gate, found in gates.items():
        level = gate.rpartition("/")[0]
        for expert, weight in found["mean"].items():
            relative = weight * len(found["mean"])
            used[level, expert] = max(used.get((level, expert), 0.0), relative)
    return [
        f"expert {expert}{f' of {level}' if level else ''} is dead: no gate gives it more than "
        f"{DEAD:.0%} of an equal share; try fewer experts, dropout in the experts, or a lower learning rate"
        for (level, expert), relative in used.items()
        if relative < DEAD
    ]


def _gates(gates: Mapping) -> list[str]:
    found = []
    for gate, of in gates.items():
        if len(of["mean"]) < 2:
            continue
        expert = max(of["mean"], key=of["mean"].get)
        if of["mean"][expert] > COLLAPSED:
            found.append(
                f"gate {gate} has collapsed: expert {expert} has {of['mean'][expert]:.1%} of its weight; try "
                "dropout in the experts, a lower learning rate, or fewer experts"
            )
        elif of["entropy"] > UNIFORM:
            found.append(
                f"gate {gate} weighs its experts alike (entropy {of['entropy']:.1%} of the greatest): it "
                "does not choose; try a higher learning rate, more epochs, or hard sharing, which costs less"
            )
    return found


def _gradients(gradients: Mapping, task_weights: Mapping[str, float]) -> list[str]:
    norms = {t: n * task_weights[t] for t, n in (gradients.get("norms") or {}).items() if n is not None}
    total = sum(norms.values())
    if len(norms) < 2 or not total > 0:
        return []
    task = max(norms, key=norms.get)
    if norms[task] / total <= DOMINATING:
        return []
    return [
        f"task {task} dominates: its weighted gradient norm is {norms[task] / total:.0%} of all tasks'; "
        "lower its loss_weight, check its label's scale, or try a weighting that balances gradients "
        "(gradnorm, imtl)"
    ]
