"""Artifact types of our own; what TFX has a type for uses TFX's."""

from tfx import types

SCORES = "scores.parquet"
METRICS = "metrics.parquet"
RELIABILITY = "reliability.parquet"


class Vocabularies(types.Artifact):
    """`<feature>.txt` a vocabulary, and `layout.json`; see `pipeline.vocabulary`."""

    TYPE_NAME = "MtlVocabularies"


class Evaluation(types.Artifact):
    """`SCORES` of the candidate and the serving model on test, the table `METRICS`, the curves
    `RELIABILITY`, and `tfma/`."""

    TYPE_NAME = "MtlEvaluation"


class Verdict(types.Artifact):
    """`verdicts.json`: what a gate decided and the sentences that say why."""

    TYPE_NAME = "MtlVerdict"
