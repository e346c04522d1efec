"""What a pushed version keeps of its run's vectors, so that the next run compares without that run's files.

One file, `assets.extra/vectors.npz` of the version: of each feature what was told of the vectors shown in its
evaluated rows, their mean and their covariance, the latter as float32 (3.3 MB of vectors of 1,280 numbers).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.recipe import Recipe
from pipeline.watch.moments import WHOLE, Moments
from serving.versions import KEPT


@dataclass(frozen=True)
class Kept:
    """Of one feature.

    Attributes:
      facts: `encoder_facts`, `dimension`, and `shown`, as `pipeline.report.form.VectorSet`.
      moments: of the vectors in the evaluated rows.
    """

    facts: dict[str, Any]
    moments: Moments


def encoder_facts(recipe: Recipe, feature: str, digest: str, version: str) -> dict[str, Any]:
    """What is kept of a feature's encoder."""
    name = getattr(recipe.features[feature], "encoder", None)
    return {"encoder": digest, "encoder_name": name, "encoder_version": version}


def encoder_in_words(facts: Mapping[str, Any]) -> str:
    """An encoder by name, version and digest, and how long its vectors are. A version pushed by an earlier
    release kept the digest alone."""
    if not facts["encoder"]:
        return f"a table whose encoder nobody declares ({facts['dimension']:,} numbers)"
    told = [facts.get("encoder_version"), f"digest {facts['encoder'][:8]}", f"{facts['dimension']:,} numbers"]
    name = facts.get("encoder_name")
    return f"encoder {name + ' ' if name else ''}({', '.join(part for part in told if part)})"


def write_kept(folder: Path, features: dict[str, Kept]) -> None:
    """Writes `vectors.npz`."""
    arrays: dict[str, np.ndarray] = {}
    for name, kept in features.items():
        spread = kept.moments.covariance
        if spread.ndim == 2:
            spread = spread[np.triu_indices(len(spread))]
        arrays[f"{name}/facts"] = np.array(json.dumps(kept.facts))
        arrays[f"{name}/weight"] = np.array([kept.moments.weight, kept.moments.squares])
        arrays[f"{name}/mean"] = kept.moments.mean
        arrays[f"{name}/covariance"] = spread.astype(np.float32)
    np.savez(folder / KEPT, **arrays)


def read_kept(version: Path) -> dict[str, Kept]:
    """What a version kept; empty where it kept nothing.

    Raises:
      ValueError: it cannot be read; the message is the end of a sentence about the version.
    """
    path = version / "assets.extra" / KEPT
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as found:
            names = [name.removesuffix("/facts") for name in found.files if name.endswith("/facts")]
            return {name: _kept(name, found) for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"kept an assets.extra/{KEPT} that cannot be read: {error}") from None


def _kept(name: str, found: Any) -> Kept:
    mean, (weight, squares) = found[f"{name}/mean"], found[f"{name}/weight"].tolist()
    spread = found[f"{name}/covariance"].astype(np.float64)
    if len(mean) <= WHOLE:
        whole = np.zeros((len(mean), len(mean)))
        whole[np.triu_indices(len(mean))] = spread
        spread = whole + np.triu(whole, 1).T
    return Kept(json.loads(str(found[f"{name}/facts"])), Moments(weight, mean, spread * weight, squares))
