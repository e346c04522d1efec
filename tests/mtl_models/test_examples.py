"""Every public class's docstring has an example, and all of them run."""

import doctest
import importlib
import pkgutil
import re

import numpy as np
import pytest

import mtl_models


def public_classes() -> list:
    found = {}
    for name in mtl_models.__all__:
        found[name] = getattr(mtl_models, name)
    for module in pkgutil.walk_packages(mtl_models.__path__, "mtl_models."):
        home = importlib.import_module(module.name)
        for name, value in vars(home).items():
            if getattr(value, "__module__", None) == home.__name__ and not name.startswith("_"):
                if isinstance(value, type):
                    found.setdefault(name, value)
    return sorted(found.items())


CLASSES = dict(public_classes())
# bases, whose subclasses have the examples
ABSTRACT = ("Architecture", "Calibrator", "GramWeighting", "RowOptimizer", "Weighting")
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


def test_every_public_class_has_an_example():
    lacking = [
        name
        for name in mtl_models.__all__
        if name not in ABSTRACT
        and isinstance(CLASSES[name], type)
        and not doctest.DocTestFinder(recurse=False).find(CLASSES[name], name)[0].examples
    ]
    assert not lacking, f"without an Example: {', '.join(lacking)}"


@pytest.mark.parametrize("name", [n for n, v in CLASSES.items() if ">>>" in (v.__doc__ or "")])
def test_example(name):
    value = CLASSES[name]
    names = {**vars(importlib.import_module(value.__module__)), "np": np}
    names |= {public: CLASSES[public] for public in mtl_models.__all__}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(Rounded(), optionflags=flags)
    for test in doctest.DocTestFinder(recurse=False).find(value, name, globs=names):
        said = []
        runner.run(test, out=said.append)
        assert not runner.failures, "".join(said)
