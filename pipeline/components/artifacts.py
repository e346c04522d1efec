"""Artifact types of our own; what TFX has a type for uses TFX's.

Their names have the form that Kubeflow demands of them, `namespace.Title`.
"""

from tfx import types


class Vocabularies(types.Artifact):
    """`<feature>.txt` a vocabulary, and `layout.json`; see `pipeline.vocabulary`."""

    TYPE_NAME = "mtl.Vocabularies"


class Vectors(types.Artifact):
    """Matrices of vectors by key and their keys; see `pipeline.vectors`."""

    TYPE_NAME = "mtl.Vectors"


class Watched(types.Artifact):
    """What was found of the vectors in the rows; see `pipeline.watch.watch`."""

    TYPE_NAME = "mtl.Watched"


class Evaluation(types.Artifact):
    """Scores of the candidate and the serving model on test, the metrics table, the reliability curves (see
    `pipeline.evaluation.files`), and `tfma/`."""

    TYPE_NAME = "mtl.Evaluation"


class Staleness(types.Artifact):
    """`staleness.json`; see `pipeline.evaluation.staleness.measure_ages`."""

    TYPE_NAME = "mtl.Staleness"


class Verdict(types.Artifact):
    """`verdicts.json`: what a gate decided and the sentences that say why."""

    TYPE_NAME = "mtl.Verdict"
