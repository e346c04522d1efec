"""A run that would begin from a model which cannot be loaded trains from nothing, and says why."""

import shutil
import zipfile
from dataclasses import replace

import keras
import pytest

from mtl_models import HardSharing, Layout, MultiTaskModel, RowAdam, Task
from pipeline.base_model import from_what_loads
from pipeline.plan import Plan
from pipeline.recipe import loads
from pipeline.warm_start import Base, Beginning


@pytest.fixture
def plan(tmp_path, smallest_recipe):
    """Of a run that begins from version 3, whose model has no rows and was not trained."""
    model = MultiTaskModel(Layout.of({}, ["price"]), [Task("click", "binary")], HardSharing(units=(2,)))
    model({"numbers": keras.ops.zeros((1, 1))})
    model.compile(keras.optimizers.Adam(), RowAdam())
    (tmp_path / "model_run").mkdir()
    model.save(tmp_path / "model_run/model.keras")
    begins = Beginning(Base("3", "r1", "", tmp_path, "content"), "", 2, 7)
    return Plan(loads(smallest_recipe), tmp_path, tmp_path, "r2", "", "", None, "", beginning=begins)


def test_a_model_that_loads_is_begun_from(plan):
    assert from_what_loads(plan) is plan
    nothing = replace(plan, beginning=None)
    assert from_what_loads(nothing) is nothing


def cut_off(path):
    path.write_bytes(path.read_bytes()[:1000])


def of_a_class_that_is_gone(path):
    shutil.move(path, old := path.with_suffix(".old"))
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(path, "w") as sink:
        for name in source.namelist():
            sink.writestr(name, source.read(name).replace(b"HardSharing", b"OldSharing"))


def of_another_kind(path):
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(path)


@pytest.mark.parametrize("spoil", [cut_off, of_a_class_that_is_gone, of_another_kind])
def test_one_that_does_not_is_named_with_its_fault(plan, spoil):
    spoil(plan.beginning.base.part("model_run") / "model.keras")
    found = from_what_loads(plan).beginning
    assert (found.base, found.since_full, found.every) == (None, 0, 7)
    begin = "the model of run r1, which version 3 is from, cannot be loaded any more ("
    assert found.reason.startswith(begin) and len(found.reason) < len(begin) + 260
    assert "\n" not in found.reason and found.facts()["reason"] == found.reason
