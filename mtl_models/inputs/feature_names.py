"""Which features the settings of `FeatureInputs` may name."""

import itertools
from collections.abc import Sequence

from mtl_models.inputs.layout import CategoricalSlots, Layout


def single_valued(layout: Layout, setting: str, names: Sequence[str]) -> list[CategoricalSlots]:
    """The slots of features with one embedding each.

    Raises:
        ValueError: if a name is not that of a categorical feature with one value a row.
    """
    known = {f.name: f for f in layout.categorical if f.length == 1}
    for name in names:
        if name not in known:
            raise ValueError(
                f"{setting}: '{name}' is not a categorical feature with one value a row; "
                f"those are {', '.join(known)}"
            )
    return [known[name] for name in names]


def interaction_pairs(
    names: Sequence[str], interactions: str | Sequence[Sequence[str]] | None, vectors: Sequence[str] = ()
) -> list[tuple[int, int]]:
    """The interactions as pairs of positions among the features named: categorical ones, then vectors.

    "all" is every pair of categorical ones.

    Raises:
        ValueError: if an interaction is no pair, or names another feature.
    """
    positions = {name: i for i, name in enumerate([*names, *vectors])}
    if interactions == "all":
        return list(itertools.combinations(range(len(names)), 2))
    pairs = []
    for pair in interactions or ():
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"interaction {pair!r} is not a pair of features, nor is it 'all'")
        for name in pair:
            if name not in positions:
                raise ValueError(
                    f"interaction {list(pair)}: '{name}' is not a categorical feature or vector; "
                    f"those are {', '.join(positions)}"
                )
        pairs.append((positions[pair[0]], positions[pair[1]]))
    return pairs


def attention_targets(
    layout: Layout, attention: Sequence[Sequence[str]] | None
) -> dict[str, CategoricalSlots]:
    """History → its target's slots.

    Raises:
        ValueError: if an entry is no pair, its history is no list or has two targets, or its target is none
            of the features with one value a row.
    """
    lists = {f.name for f in layout.categorical if f.length > 1}
    targets: dict[str, CategoricalSlots] = {}
    for pair in attention or ():
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"attention: {pair!r} is not a pair of a history and a target")
        history, target = pair
        if history not in lists:
            raise ValueError(
                f"attention: '{history}' is not a multi-valued categorical feature; "
                f"those are {', '.join(sorted(lists))}"
            )
        if history in targets:
            raise ValueError(f"attention: '{history}' has two targets; give it one")
        targets[history] = single_valued(layout, "attention", [target])[0]
    return targets
