"""Vectors by key, in the form in which the model holds them."""

import json

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from pipeline.components.artifacts import Vectors
from pipeline.vectors import Table, write_vectors


@component
def HoldVectors(
    tables: Parameter[str],
    code: Parameter[str],
    vectors: OutputArtifact[Vectors],
) -> None:
    """Writes every table that `tables` names as a matrix; digests in it and `code` make the cache key."""
    write_vectors({name: Table(**table) for name, table in json.loads(tables).items()}, vectors.uri)
