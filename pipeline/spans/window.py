"""The examples of a run: those of its spans, linked, in the three splits that the steps after read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.held_catalogs import link_catalogs
from pipeline.ingest.counts import Counts
from pipeline.ingest.run import COUNTS
from pipeline.ingest.span_rows import HEAD, TAIL
from pipeline.ingest.splits import EARLIER, SPLITS
from pipeline.spans.hidden import hide_labels

TRAIN, VALIDATION, TEST = SPLITS
Part = tuple[int, str]  # a span, and its head or tail: HEAD comes before TAIL in the alphabet
_TRAINED_BEFORE = "trained on before, by the model that this one begins from"


def parts_of(spans: Iterable[int], evaluated: int, base: int | None = None) -> dict[str, list[Part]]:
    """Split → (span, its head or tail), in the order of time.

    The spans before the one that is evaluated are trained on, but for the tail of the newest of them, which is
    validation: each split is later than the one before, and training is as fresh as it can be. What a model
    was trained on that evaluated the span `base` ends with the head of the span before; a run that begins
    from it trains on what follows, and has what went before as the split EARLIER.
    """
    before = sorted(number for number in spans if number < evaluated)
    found = [(number, part) for number in before for part in (HEAD, TAIL)]
    parts = {TRAIN: found[:-1], VALIDATION: found[-1:], TEST: [(evaluated, HEAD), (evaluated, TAIL)]}
    if base is not None:
        old = [of for of in parts[TRAIN] if of <= (base - 1, HEAD)]
        parts[TRAIN], parts[EARLIER] = parts[TRAIN][len(old) :], old
    return parts


def closed_split(number: int) -> str:
    """The split of a span that tasks are judged on in place of the run's own."""
    return f"closed-{number}"


def write_window(
    examples: Mapping[int, Path],
    evaluated: int,
    folder: Path,
    base: int | None = None,
    held: Mapping[str, int] | None = None,
) -> Counts:
    """Links the spans' files into the splits of a folder, and writes what was counted of them all.

    Of a task in `held` training and validation have the labels that the run of that span would have: files
    with later ones are written again without them, and validation gets the tail of the span before it, with
    this task's labels alone. Such rows, and those of the split `closed_split`, are counted once, where the
    window has them.

    Args:
      examples: span → the folder of its examples.
      evaluated: the span that is evaluated; the others are before it.
      folder: gets the splits and `counts.json`.
      base: the span that the model which training begins from evaluated; see `parts_of`.
      held: task → the span before the one that is evaluated whose labels, and later ones, it is not trained on.
    """
    parts, held = parts_of(examples, evaluated, base), held or {}
    of = {number: Counts.load(path / COUNTS) for number, path in examples.items()}
    tails = {task: _tail_before(examples, number) for task, number in held.items()}
    hidden = {split: [(part, []) for part in found] for split, found in parts.items()}
    for split in (TRAIN, VALIDATION):
        hidden[split] = [(part, [t for t, tail in tails.items() if part >= tail]) for part in parts[split]]
    for tail in sorted({tail for tail in tails.values() if tail in _all(parts) and tail[1] == TAIL}):
        others = [task for task in of[tail[0]].known if tails.get(task) != tail]
        hidden[VALIDATION].append((tail, others))
    for number in sorted(set(held.values()) & set(examples)):
        hidden[closed_split(number)] = [((number, part), []) for part in (HEAD, TAIL)]
    for split, found in hidden.items():
        to = folder / f"Split-{split}"
        to.mkdir(parents=True, exist_ok=True)
        for (number, part), tasks in found:
            known = [task for task in tasks if _share(of[number].known[task], part)]
            for shard in sorted((examples[number] / f"Split-{part}").iterdir()):
                name = to / f"{number:08d}-{part}-{shard.name}"
                hide_labels(shard, name, known) if known else _link(shard, name)
    link_catalogs(examples[evaluated], folder)  # what the model will hold is what is known last
    counts = _counts(of, parts, {split: hidden[split] for split in SPLITS})
    counts.write(folder / COUNTS)
    return counts


def _tail_before(spans: Iterable[int], number: int) -> Part:
    """What a task that is judged on a span is stopped by: the tail of the one before; without one, the first
    part of the span itself, as there is nothing to keep but its labels."""
    before = [n for n in spans if n < number]
    return (max(before), TAIL) if before else (number, HEAD)


def _all(parts: Mapping[str, list[Part]]) -> set[Part]:
    return {part for found in parts.values() for part in found}


def _link(source: Path, to: Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # another disk
        shutil.copy(source, to)


def _counts(
    of: Mapping[int, Counts],
    parts: Mapping[str, list[Part]],
    hidden: Mapping[str, list[tuple[Part, list[str]]]],
) -> Counts:
    total = Counts()
    for number in sorted(of):
        total.add(of[number])
        for source, files in of[number].digests.items():
            total.digests.setdefault(source, {}).update(files)
    earlier = sum(_share(of[n].written, part) for n, part in parts.get(EARLIER, ()))
    if earlier:
        total.dropped[_TRAINED_BEFORE] = earlier
    total.written = {s: sum(_share(of[n].written, part) for n, part in parts[s]) for s in SPLITS}
    total.known = {
        task: {
            split: sum(_share(of[n].known[task], part) for (n, part), without in found if task not in without)
            for split, found in hidden.items()
        }
        for task in total.known
    }
    total.check()
    return total


def _share(counted: Mapping[str, int], part: str) -> int:
    # ingestion counts a span's head and tail as if they were training and validation
    return counted[TRAIN if part == HEAD else VALIDATION]
