"""Watches a recommender's vectors: in training's rows, in those evaluated, and in those of what serves."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import progress, vectors
from pipeline.recipe import Recipe
from pipeline.watch.found import FACTS, PICTURES
from pipeline.watch.kept import Kept, encoder_facts, encoder_in_words, read_kept, write_kept
from pipeline.watch.likeness import choose, likeness
from pipeline.watch.measure import Measure
from pipeline.watch.moments import shift
from pipeline.watch.rows import SAMPLE, KeyRows, Sample, batches, read_rows
from pipeline.watch.shown import show

PICTURED = 60  # items on a map whose pictures are wanted
ITEMS = 100_000  # of more items in a split's rows, moments and norms are of so many, drawn at random
UNKNOWN, NO_KEY = "its key is not in the table", "the row has no key"
_SPLITS = ("train", "test")


@dataclass
class _Feature:
    """A feature while it is looked at. `trained` and `shown` are of training and of the evaluated rows."""

    trained: Measure
    shown: Measure
    encoder: str
    encoder_version: str
    dimension: int
    table: dict[str, Any] | None
    like: dict[str, Any]


def watch(
    recipe: Recipe, examples: str, held: str | None, baseline: str | None, input_dir: Path, folder: Path
) -> dict[str, dict[str, Any]]:
    """Measures every feature that is a vector, and compares.

    Writes into `folder`: `watched.json`, which is returned; `pictures.json`, feature → key → its picture, of
    items that `watched.json` names; and what the pushed version keeps (see `kept`).

    Args:
      recipe: names features and sources.
      examples: folder of examples; `test` is what is evaluated.
      held: folder of `vectors.write_vectors`, where the model holds any.
      baseline: the version that serves now.
      input_dir: what the recipe's paths are below.
      folder: is made.

    Returns:
      Feature → what is told of it, of the form of `pipeline.report.form.VectorFeature`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _look(recipe, examples, held)
    try:
        before, fault = (read_kept(Path(baseline)) if baseline else {}), None
    except ValueError as error:
        before, fault = {}, str(error)
    told, pictures, kept = {}, {}, {}
    for name, feature in found.items():
        progress.tell(f"comparing vectors of {name}")
        shown = feature.shown.facts()
        facts = encoder_facts(recipe, name, feature.encoder, feature.encoder_version)
        facts |= {"dimension": feature.dimension}
        compared = _compared(feature, facts, before.get(name), baseline, fault)
        told[name] = {
            "kind": recipe.features[name].kind,
            "encoder_name": facts["encoder_name"],
            "encoder": feature.encoder,
            "dimension": feature.dimension,
            "table": feature.table,
            "training": feature.trained.facts(),
            "shown": shown,
            **compared,
            **feature.like,
        }
        pictures[name] = _content(recipe, name, feature.like, input_dir)
        kept[name] = Kept(facts | {"shown": shown}, feature.shown.moments)
    (folder / FACTS).write_text(json.dumps(told, indent=1))
    (folder / PICTURES).write_text(json.dumps(pictures))
    write_kept(folder, kept)
    return told


def _compared(
    feature: _Feature,
    facts: dict[str, Any],
    before: Kept | None,
    baseline: str | None,
    fault: str | None,
) -> dict[str, Any]:
    of, trained = feature.shown.moments, feature.trained.moments
    shifts, chance = {"training": shift(of, trained), "serving": None}, shift(*feature.trained.halves)
    undefined = "there are no vectors, or the others are all the same"
    notes = {} if shifts["training"] else {"training": undefined}
    version = f"version {Path(baseline).name}" if baseline else ""
    if before is None:
        why = fault or "kept nothing of such a feature's vectors"
        notes["serving"] = f"{version}, which serves, {why}" if version else "there is no serving model yet"
    elif before.facts["dimension"] != feature.dimension:
        long = before.facts["dimension"]
        notes["serving"] = f"{version} has vectors of {long} numbers, and these have {feature.dimension}"
    elif before.facts["encoder"] != feature.encoder:
        notes["serving"] = (
            f"{encoder_in_words(before.facts)} made {version}'s and {encoder_in_words(facts)} these, and "
            "vectors of two encoders say nothing of each other"
        )
    else:
        shifts["serving"] = shift(of, before.moments)
        if shifts["serving"] is None:
            notes["serving"] = undefined
    return {
        "serving": before and before.facts["shown"],
        "serving_encoder": before and before.facts["encoder"],
        "serving_dimension": before and before.facts["dimension"],
        "fault": before is None and fault is not None,
        "shift": {where: found and found.total for where, found in shifts.items()}
        | {"chance": chance and chance.total}
        | {"means": {where: found.mean for where, found in shifts.items() if found}},
        "notes": notes,
    }


def _content(recipe: Recipe, name: str, like: dict[str, Any], input_dir: Path) -> dict[str, str]:
    """Puts texts beside the keys of items, and gives their pictures."""
    near = [item for of in like["neighbours"] for item in (of, *of["near"])]
    mapped = like["map"]["items"]
    items = [*near, *mapped]
    if recipe.features[name].kind == "vision":  # a page has room for some
        mapped = mapped[:: 1 + len(mapped) // PICTURED]
    seen = show(recipe, name, {item["key"] for item in (*near, *mapped)}, input_dir)
    for item in items:
        item["text"] = seen.texts.get(item["key"])
    return seen.pictures


def _look(recipe: Recipe, examples: str, held: str | None) -> dict[str, _Feature]:
    given = [name for name, feature in recipe.features.items() if feature.kind == "vector"]
    samples = {name: Sample() for name in given}
    read = {}
    for split in _SPLITS:
        progress.tell(f"reading the vectors of {split}")
        read[split] = read_rows(recipe, examples, split, samples)
    found = {}
    for name in recipe.features:
        if name in recipe.keyed_vectors:
            rows = [read[split][0][recipe.column_of(name)] for split in _SPLITS]
            found[name] = _held(name, Path(held), *rows)
        elif name in given:
            measures = [read[split][1][name] for split in _SPLITS]
            found[name] = _given(*measures, samples[name])
    return found


def _given(trained: Measure, shown: Measure, sample: Sample) -> _Feature:
    dimension, hashes = len(trained.halves[0].mean), sorted(sample.keys)[:SAMPLE]
    rows = {split: sample.rows.get(split, {}) for split in _SPLITS}
    of_train, of_test = (np.array([rows[split].get(h, 0) for h in hashes], int) for split in _SPLITS)
    held = np.stack([sample.vectors[h] for h in hashes]) if hashes else np.empty((0, dimension), np.float32)

    def key_of(row: int) -> str:
        return sample.keys[hashes[row]].decode(errors="replace")

    like = likeness(held, key_of, of_train, of_test, np.random.default_rng(0))
    return _Feature(trained, shown, "", "", dimension, None, like)


def _held(name: str, folder: Path, trained: KeyRows, shown: KeyRows) -> _Feature:
    of = vectors.held(folder)[name]
    matrix = vectors.read_matrices(folder, [name])[name]
    lines = vectors.keys_file(folder, name).read_bytes().split(b"\n")[:-1]
    keys = pa.array(lines, pa.large_binary())
    draw = np.random.default_rng(0)
    half = draw.random(len(matrix)) < 0.5
    measures, rows = [], []
    for counted in (trained, shown):
        measure, by_row = measured(name, folder, matrix, keys, counted, half, draw)
        measures.append(measure)
        rows.append(by_row)

    def key_of(row: int) -> str:
        return lines[row - 1].decode(errors="replace")

    table = {"keys": of.keys, "absent": of.absent, "reasons": of.reasons}
    like = likeness(matrix, key_of, *rows, draw)
    return _Feature(*measures, of.encoder, of.encoder_version, of.dimension, table, like)


def measured(
    name: str,
    folder: Path,
    matrix: np.ndarray,
    keys: pa.Array,
    counted: KeyRows,
    half: np.ndarray,
    draw: np.random.Generator,
) -> tuple[Measure, np.ndarray]:
    """What the keys of some rows come to, and how many of the rows each row of the matrix stands for.

    Args:
      name: of the feature.
      folder: of `vectors.write_vectors`.
      matrix: float32 `[1 + keys, D]`, of which row 0 is absent.
      keys: large_binary `[keys]`.
      counted: the rows of each key.
      half: bool `[1 + keys]`: which half of the items each is of.
      draw: chooses, of very many.
    """
    distinct, rows = counted.total()
    at = pc.index_in(distinct, value_set=keys)
    known = at.is_valid().to_numpy(zero_copy_only=False)
    of_row = np.zeros(len(matrix), np.int64)
    of_row[1 + at.drop_null().to_numpy()] = rows[known]
    measure = Measure(matrix.shape[1])
    measure.rows, measure.items = int(rows.sum()), len(distinct) - distinct.null_count
    measure.reasons.update(_lacking(name, folder, distinct.filter(pa.array(~known)), rows[~known]))
    used = np.flatnonzero(of_row)
    for part in batches(choose(used, ITEMS, draw)):
        measure.add(np.asarray(matrix[part]), of_row[part], half[part])
    return measure, of_row


def _lacking(name: str, folder: Path, keys: pa.Array, rows: np.ndarray) -> Counter[str]:
    """Why rows with these keys have no vector → how many rows."""
    absent = pq.read_table(vectors.absent_file(folder, name)).combine_chunks()
    of_table = absent["key"].cast(pa.large_binary()).combine_chunks()
    at = pc.index_in(keys, value_set=of_table, skip_nulls=True)
    why = pc.fill_null(pc.take(absent["reason"], at), UNKNOWN).to_pylist()
    found: Counter[str] = Counter()
    for key, reason, count in zip(keys.to_pylist(), why, rows.tolist(), strict=True):
        found[reason if key else NO_KEY] += count
    return found
