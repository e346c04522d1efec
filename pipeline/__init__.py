"""The pipeline and the command `mtl`; `from pipeline import Run` reads what a run came to."""

import importlib

_HOMES = {"Run": "report.run"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"pipeline has no '{name}'; it has {', '.join(sorted(_HOMES))}")
    return getattr(importlib.import_module(f"pipeline.{_HOMES[name]}"), name)
