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

TRAIN, VALIDATION, TEST = SPLITS
_TRAINED_BEFORE = "trained on before, by the model that this one begins from"


def parts_of(
    spans: Iterable[int], evaluated: int, base: int | None = None
) -> dict[str, list[tuple[int, str]]]:
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
        old = [of for of in parts[TRAIN] if of <= (base - 1, HEAD)]  # HEAD comes before TAIL in the alphabet
        parts[TRAIN], parts[EARLIER] = parts[TRAIN][len(old) :], old
    return parts


def write_window(
    examples: Mapping[int, Path], evaluated: int, folder: Path, base: int | None = None
) -> Counts:
    """Links the spans' files into the splits of a folder, and writes what was counted of them all.

    Args:
      examples: span → the folder of its examples.
      evaluated: the span that is evaluated; the others are before it.
      folder: gets the splits and `counts.json`.
      base: the span that the model which training begins from evaluated; see `parts_of`.
    """
    parts = parts_of(examples, evaluated, base)
    for split, found in parts.items():
        to = folder / f"Split-{split}"
        to.mkdir(parents=True, exist_ok=True)
        for number, part in found:
            for shard in sorted((examples[number] / f"Split-{part}").iterdir()):
                _link(shard, to / f"{number:08d}-{part}-{shard.name}")
    link_catalogs(examples[evaluated], folder)  # what the model will hold is what is known last
    counts = _counts({number: Counts.load(path / COUNTS) for number, path in examples.items()}, parts)
    counts.write(folder / COUNTS)
    return counts


def _link(source: Path, to: Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # another disk
        shutil.copy(source, to)


def _counts(of: Mapping[int, Counts], parts: Mapping[str, list[tuple[int, str]]]) -> Counts:
    total = Counts()
    for number in sorted(of):
        total.add(of[number])
        for source, files in of[number].digests.items():
            total.digests.setdefault(source, {}).update(files)
    earlier = sum(_share(of[n].written, part) for n, part in parts.get(EARLIER, ()))
    if earlier:
        total.dropped[_TRAINED_BEFORE] = earlier
    parts = {split: found for split, found in parts.items() if split != EARLIER}
    total.written = {s: sum(_share(of[n].written, part) for n, part in found) for s, found in parts.items()}
    total.known = {
        task: {s: sum(_share(of[n].known[task], part) for n, part in found) for s, found in parts.items()}
        for task in total.known
    }
    total.check()
    return total


def _share(counted: Mapping[str, int], part: str) -> int:
    # ingestion counts a span's head and tail as if they were training and validation
    return counted[TRAIN if part == HEAD else VALIDATION]
