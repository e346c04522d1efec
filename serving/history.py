"""What served, one after the other, from the audit log and the pointer."""

from dataclasses import dataclass
from pathlib import Path

from serving import audit, versions


@dataclass(frozen=True)
class History:
    """What led to what serves.

    Attributes:
      served: versions, oldest first; the last one serves. Those that were rolled back from are not in it, so
        that rolling back once more goes further back.
      stable: the version that a person promoted last, or that took its place as it was rolled back from;
        None where nobody ever promoted one.
    """

    served: tuple[int, ...]
    stable: int | None


def history(folder: Path, current: int | None) -> History:
    """Replays the audit log up to a pointer at `current`.

    Versions from before the log was kept are taken to have served in their order. A pointer that someone
    wrote by hand counts: at an older version as a roll-back to it, at another as a change to it.
    """
    entries, _ = audit.entries(folder)
    first = min((e["to"] for e in entries), default=None)
    known = sorted({*versions.versions(folder), *versions.pushed(folder)})
    found = History(tuple(v for v in known if first is None or v < first), None)
    last = None
    for entry in entries:
        found = _found_at(found, entry["from"], last)
        found = _after(found, entry)
        last = entry
    return _found_at(found, current, last)


def _found_at(before: History, at: int | None, last: dict | None) -> History:
    if at is None:
        return History((), None)
    if before.served and before.served[-1] == at:
        return before
    # the line of a push that was cut off before the pointer moved says nothing of what is stable
    cut_off = last is not None and last["what"] == "push" and last["from"] == at
    if at in before.served:
        served = before.served[: before.served.index(at) + 1]
    else:
        served = (*before.served, at)
    return History(served, before.stable if cut_off or before.stable is None else at)


def _after(before: History, entry: dict) -> History:
    to = entry["to"]
    if entry["what"] == "push":
        return History((*before.served, to), before.stable)
    if entry["what"] == "rollback":
        # of a canary it says nothing of what is stable, unless that is what it goes back to
        moved = before.stable in (before.served[-1], entry["model_of"])
        return History((*before.served[:-2], to), to if moved else before.stable)
    return History(before.served if to in before.served[-1:] else (*before.served, to), to)
