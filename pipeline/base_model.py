"""Whether the model that a run would begin from can still be loaded, which only Keras knows."""

from __future__ import annotations

from dataclasses import replace

import keras

from mtl_models.model import MultiTaskModel
from pipeline.plan import Plan
from pipeline.warm_start import Beginning


def from_what_loads(plan: Plan) -> Plan:
    """The plan; where the model that it begins from cannot be loaded any more, one that trains from nothing.

    After an upgrade of Keras or of this project a model's file may be of no use. It must be known before the
    first step, as a run that begins from a model leaves out rows and keeps vocabularies and scalings.
    """
    begins = plan.beginning
    if begins is None or begins.base is None:
        return plan
    base = begins.base
    try:
        found = keras.models.load_model(base.part("model_run") / "model.keras")
        fault = "" if isinstance(found, MultiTaskModel) else f"it is a {type(found).__name__}"
    except MemoryError:
        raise
    except Exception as error:  # of as many kinds as there are ways to be of no use
        said = (str(error).strip().splitlines() or [""])[0]
        fault = f"{type(error).__name__}: {said[:200]}"
    if not fault:
        return plan
    which = f"the model of run {base.run}, which version {base.version} is from,"
    reason = f"{which} cannot be loaded any more ({fault})"
    return replace(plan, beginning=Beginning(None, reason, 0, begins.every))
