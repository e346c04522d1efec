"""Public docstrings: every class has an example, every part a formula and its source; all examples run."""

import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import mtl_models
from mtl_models.losses import LOSSES


def public_names() -> dict:
    """Classes and functions by name, in the modules that define them."""
    found = {name: getattr(mtl_models, name) for name in mtl_models.__all__}
    for module in pkgutil.walk_packages(mtl_models.__path__, "mtl_models."):
        home = importlib.import_module(module.name)
        for name, value in vars(home).items():
            if getattr(value, "__module__", None) == home.__name__ and not name.startswith("_"):
                if inspect.isclass(value) or inspect.isfunction(value):
                    found.setdefault(name, value)
    return dict(sorted(found.items()))


PUBLIC = public_names()
# bases, whose subclasses have the examples
ABSTRACT = ("Architecture", "Calibrator", "GramWeighting", "RowOptimizer", "Weighting")
# what a recipe or a model is made of, and computes what a paper says
_HOMES = re.compile(r"mtl_models\.(architectures|calibration|layers|optimizers|weighting)\.[a-z]")
PARTS = [n for n, v in PUBLIC.items() if n in LOSSES or inspect.isclass(v) and _HOMES.match(v.__module__)]
_FORMULA = re.compile(r"`[^`]*(?:[=≤←·⊗⊙/×+−Σ√-]|\w\(.*\))[^`]*`|^ {8}\S.*[=/·+−-] .*$", re.MULTILINE)
_SOURCE = re.compile(r"\b(?:18|19|20)\d\d\b|of\s+no\s+paper")
_NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?")


class Rounded(doctest.OutputChecker):
    """Numbers with a point need to agree to the places that are written."""

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        wanted, found = _NUMBER.findall(want), _NUMBER.findall(got)
        if len(wanted) != len(found) or not super().check_output(
            _NUMBER.sub("#", want), _NUMBER.sub("#", got), optionflags
        ):
            return False
        return all(
            abs(float(a) - float(b)) <= 0.51 * 10.0 ** -len(a.partition(".")[2])
            for a, b in zip(wanted, found)
        )


def examples(name: str) -> list:
    return doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name)[0].examples


def test_every_public_class_has_an_example():
    lacking = [
        name
        for name in mtl_models.__all__
        if name not in ABSTRACT and inspect.isclass(PUBLIC[name]) and not examples(name)
    ]
    assert not lacking, f"without an Example: {', '.join(lacking)}"


def test_every_part_says_formula_and_source():
    said = {name: PUBLIC[name].__doc__ or "" for name in PARTS}
    for what, pattern in (("formula", _FORMULA), ("source, or that it is of no paper,", _SOURCE)):
        lacking = [name for name, doc in said.items() if not pattern.search(doc.split("Example")[0])]
        assert not lacking, f"without a {what}: {', '.join(lacking)}"
    assert not [name for name in PARTS if not examples(name)]
    assert len(PARTS) > 60


@pytest.mark.parametrize("name", [n for n, v in PUBLIC.items() if ">>>" in (v.__doc__ or "")])
def test_example(name):
    value = PUBLIC[name]
    names = {**vars(importlib.import_module(value.__module__)), "np": np}
    names |= {public: PUBLIC[public] for public in mtl_models.__all__}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(Rounded(), optionflags=flags)
    for test in doctest.DocTestFinder(recurse=False).find(value, name, globs=names):
        said = []
        runner.run(test, out=said.append)
        assert not runner.failures, "".join(said)
