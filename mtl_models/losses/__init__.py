"""Losses by name: functions of target [B] and output [B] (or [B, units]) that return one loss a row, [B].

What a loss needs beside these it names in two attributes, and `mtl_models.kinds.row_losses` gives it by
keyword: `settings`, fields of `Task`; and `side`, inputs of the batch: `request` or the rows' `weight`, [B].
"""

from mtl_models.losses.binary_crossentropy import binary_crossentropy
from mtl_models.losses.categorical_crossentropy import categorical_crossentropy
from mtl_models.losses.coral import coral
from mtl_models.losses.cumulative_logit import cumulative_logit
from mtl_models.losses.duration_quantile import duration_quantile
from mtl_models.losses.focal import focal
from mtl_models.losses.huber import huber
from mtl_models.losses.listwise import listwise
from mtl_models.losses.log_mse import log_mse
from mtl_models.losses.mae import mae
from mtl_models.losses.mse import mse
from mtl_models.losses.weighted_logistic import weighted_logistic
from mtl_models.losses.weighted_mean import weighted_mean
from mtl_models.losses.ziln import ziln

LOSSES = {
    loss.__name__: loss
    for loss in (
        binary_crossentropy,
        focal,
        listwise,
        mse,
        mae,
        huber,
        log_mse,
        weighted_logistic,
        duration_quantile,
        ziln,
        categorical_crossentropy,
        cumulative_logit,
        coral,
    )
}

__all__ = ["LOSSES", "weighted_mean", *LOSSES]
