"""The demo's world: a synthetic recommender whose true propensities are known.

`generate` writes catalogs, a log of impressions (a folder a day) and, beside it, the propensities that
drew every label, so that a model can be told how good it is and how good it could be.
"""

from pipeline.demo.drift import Drift, parse
from pipeline.demo.generation import DemoSummary, ForeignFolderError, generate

__all__ = ["DemoSummary", "Drift", "ForeignFolderError", "generate", "parse"]
