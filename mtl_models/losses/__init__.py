"""Losses by name: functions of target [B] and output [B] that return one loss a row, [B]."""

from mtl_models.losses.binary_crossentropy import binary_crossentropy
from mtl_models.losses.huber import huber
from mtl_models.losses.mae import mae
from mtl_models.losses.mse import mse
from mtl_models.losses.weighted_mean import weighted_mean

LOSSES = {loss.__name__: loss for loss in (binary_crossentropy, mse, mae, huber)}

__all__ = ["LOSSES", "binary_crossentropy", "huber", "mae", "mse", "weighted_mean"]
