"""The vectors that a model holds by key, against those of the model that serves.

They are one table's for all spans of a run, so that no span differs from another by them: what made them, and
what they are like, is held against the version that serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import vectors
from pipeline.drift.distances import Distance
from pipeline.drift.vectors import Vectors, moved
from pipeline.evaluation.gates import Verdict
from pipeline.recipe import Recipe
from pipeline.recipe.drift import Drift
from pipeline.watch.kept import Kept, encoder_facts, encoder_in_words, read_kept

_GATE = "encoder"


@dataclass(frozen=True)
class Served:
    """What the version that serves kept of its vectors.

    Attributes:
      name: "version 7, which serves".
      kept: feature → that, of those whose vectors are the same encoder's now.
      others: feature → that, where another encoder makes them now, and what that is in words.
    """

    name: str
    kept: Mapping[str, Kept] = field(default_factory=dict)
    others: Mapping[str, tuple[Kept, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe, held: Path, version: Path) -> Served:
        """Reads what a version kept of the features that a recipe's model holds by key.

        Args:
          recipe: names features.
          held: folder of `pipeline.vectors.write_vectors`.
          version: that serves; what it kept and cannot be read counts as nothing, as the gates on vectors
            tell it.
        """
        try:
            kept = read_kept(version)
        except ValueError:
            kept = {}
        same, others = {}, {}
        for name, now in vectors.held(held).items():
            before = kept.get(name)
            if before is None:
                continue
            facts = encoder_facts(recipe, name, now.encoder, now.encoder_version)
            facts |= {"dimension": now.dimension}
            if any(before.facts[part] != facts[part] for part in ("encoder", "dimension")):
                others[name] = before, encoder_in_words(facts)
            else:
                same[name] = before
        return cls(f"version {version.name}, which serves", same, others)

    def distances(self, new: Vectors) -> Iterator[Distance]:
        """Of the vectors in a span's rows to those in the rows that the version was evaluated on."""
        for name, kept in self.kept.items():
            yield from moved(name, new[name], kept.moments, [new[name]])

    def verdicts(self, drift: Drift) -> list[Verdict]:
        """One for each feature whose vectors another encoder makes now."""
        then = drift.encoder or drift.then
        found = []
        for name, (before, now) in self.others.items():
            said = (
                f"{_GATE}: {name}: {now} makes its vectors, and {encoder_in_words(before.facts)} made those of "
                f"{self.name}"
            )
            if then == "warn":
                found.append(Verdict("skipped", f"{said}; the recipe says to warn alone", gate=_GATE))
            else:
                meant = "if it was meant, let one run pass by spans.drift.encoder=warn"
                found.append(Verdict("failed", f"{said}; {meant}", gate=_GATE))
        return found
