"""The schema of examples, written from the recipe: what StatisticsGen's statistics are held against."""

from __future__ import annotations

import math

from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.feature_types import FEATURE_TYPES
from pipeline.ingest.plan import ROW_ID
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Column
from pipeline.recipe.tasks import CLASS_KINDS


def schema_proto(recipe: Recipe) -> schema_pb2.Schema:
    """A TensorFlow Metadata schema of every feature that `ingest` writes.

    Columns are of variable length (a missing value is no value), with at most one value where they are
    single; a vector has as many as the feature that reads it says. Targets and the row's id are always there.
    TensorFlow Data Validation has no list of allowed whole numbers: for those the schema holds the range, and
    ingestion the rest (see `constraints`).
    """
    schema = schema_pb2.Schema()
    dimensions = {f.column or name: f.dimension for name, f in recipe.features.items() if f.kind == "vector"}
    for name, column in recipe.example_columns.items():
        feature = schema.feature.add(name=name, type=FEATURE_TYPES[column.type])
        if column.required:
            feature.presence.min_fraction = 1.0
            feature.presence.min_count = 1
        if column.type == "vector":
            if name in dimensions:
                feature.value_count.min = feature.value_count.max = dimensions[name]
        elif not column.type.startswith("list["):
            feature.value_count.min = feature.value_count.max = 1
        _domain(feature, column)
    for task, spec in recipe.tasks.items():
        label = _number(schema, f"{task}/label", schema_pb2.FLOAT)
        if spec.kind == "binary":
            label.float_domain.min, label.float_domain.max = 0.0, 1.0
        elif spec.kind in CLASS_KINDS:
            label.float_domain.min, label.float_domain.max = 0.0, len(spec.classes) - 1.0
        mask = _number(schema, f"{task}/mask", schema_pb2.FLOAT)
        mask.float_domain.min, mask.float_domain.max = 0.0, 1.0
        _number(schema, f"{task}/weight", schema_pb2.FLOAT).float_domain.min = 0.0
        for name in recipe.evaluation.references.get(task, ()):
            _number(schema, f"{task}/reference/{name}", schema_pb2.FLOAT)
    _number(schema, ROW_ID, schema_pb2.INT)
    return schema


def _number(schema: schema_pb2.Schema, name: str, kind: int) -> schema_pb2.Feature:
    """One number in every row."""
    feature = schema.feature.add(name=name, type=kind)
    feature.presence.min_fraction = 1.0
    feature.presence.min_count = 1
    feature.shape.SetInParent()
    return feature


def _domain(feature: schema_pb2.Feature, column: Column) -> None:
    if column.values is not None and feature.type == schema_pb2.BYTES:
        feature.string_domain.value.extend(str(v) for v in column.values)
        return
    low, high = column.min, column.max
    if column.values is not None:
        numbers = [float(v) for v in column.values]
        low, high = min(numbers), max(numbers)
    if low is None and high is None:
        return
    whole = feature.type == schema_pb2.INT
    domain = feature.int_domain if whole else feature.float_domain
    if low is not None:
        domain.min = math.ceil(low) if whole else low
    if high is not None:
        domain.max = math.floor(high) if whole else high
