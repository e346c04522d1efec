"""Multi-task recommender models in Keras 3: inputs, architectures, towers, weightings, training.

Public names are loaded on first use, so that `import mtl_models` itself imports neither Keras nor
TensorFlow. So it registers no class with Keras either: a process that loads a saved model takes its class
from here first (`from mtl_models import MultiTaskModel`; of layers in a model of one's own, each of theirs).
"""

import importlib

_HOMES = {
    "AITM": "architectures.aitm",
    "Architecture": "architectures._base",
    "CGC": "architectures.cgc",
    "CrossStitch": "architectures.cross_stitch",
    "ESCM2": "architectures.escm2",
    "ESMM": "architectures.esmm",
    "HardSharing": "architectures.hard_sharing",
    "MMoE": "architectures.mmoe",
    "MTAN": "architectures.mtan",
    "PLE": "architectures.ple",
    "SingleTask": "architectures.single_task",
    "SoftSharing": "architectures.soft_sharing",
    "CrossStitchUnit": "layers.cross_stitch_unit",
    "InformationTransfer": "layers.information_transfer",
    "TaskAttention": "layers.task_attention",
    "Calibrator": "calibration._base",
    "CannotCalibrate": "calibration._base",
    "IsotonicCalibration": "calibration.isotonic_calibration",
    "PlattScaling": "calibration.platt_scaling",
    "TemperatureScaling": "calibration.temperature_scaling",
    "calibrate": "calibration.calibrate",
    "CategoricalSlots": "inputs.layout",
    "quantile_bins": "inputs.bins",
    "FeatureInputs": "inputs.feature_inputs",
    "Layout": "inputs.layout",
    "VectorInput": "inputs.layout",
    "Experts": "layers.experts",
    "Gates": "layers.gates",
    "AbsentVector": "layers.absent_vector",
    "CrossNetwork": "layers.cross_network",
    "Dropout": "layers.dropout",
    "EPNetGate": "layers.epnet_gate",
    "GateUnit": "layers.gate_unit",
    "IdDropout": "layers.id_dropout",
    "MaskedPooling": "layers.masked_pooling",
    "PeriodicEncoding": "layers.periodic_encoding",
    "PiecewiseLinearEncoding": "layers.piecewise_linear_encoding",
    "PositionBias": "layers.position_bias",
    "OrdinalHead": "layers.ordinal_head",
    "PPNetGate": "layers.ppnet_gate",
    "TargetAttention": "layers.target_attention",
    "MultiTaskModel": "model",
    "Objective": "training.objective",
    "RowAdagrad": "optimizers.adagrad",
    "RowAdam": "optimizers.adam",
    "RowOptimizer": "optimizers._base",
    "Task": "tasks",
    "Towers": "towers",
    "Checkpoint": "training.checkpoint",
    "EpochRecorder": "training.epoch_recorder",
    "duration_quantiles": "training.duration_quantiles",
    "make_means": "training.smearing",
    "smear": "training.smearing",
    "array_batches": "training.array_batches",
    "Equal": "weighting.equal",
    "AlignedMTL": "weighting.aligned_mtl",
    "CAGrad": "weighting.cagrad",
    "DWA": "weighting.dwa",
    "FAMO": "weighting.famo",
    "Fixed": "weighting.fixed",
    "GLS": "weighting.gls",
    "GradNorm": "weighting.gradnorm",
    "GradVac": "weighting.gradvac",
    "GramWeighting": "weighting._gram",
    "IMTL": "weighting.imtl",
    "MGDA": "weighting.mgda",
    "NashMTL": "weighting.nash_mtl",
    "PCGrad": "weighting.pcgrad",
    "STCH": "weighting.stch",
    "UPGrad": "weighting.upgrad",
    "Uncertainty": "weighting.uncertainty",
    "Weighting": "weighting._base",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"mtl_models has no '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"mtl_models.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
