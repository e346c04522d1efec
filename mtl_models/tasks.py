"""What a task is. Plain data: reading this module loads neither Keras nor TensorFlow."""

import dataclasses
import math

LOSSES_BY_KIND = {
    "binary": ("binary_crossentropy",),
    "regression": ("mse", "mae", "huber"),
}
"""The losses of each kind of task; the first is the kind's default."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing to predict.

    Args:
        name: the key of the task's label, weight and prediction.
        kind: "binary" (labels 0 and 1, predictions are probabilities) or "regression" (labels and
            predictions in the label's own units).
        loss: one of `LOSSES_BY_KIND[kind]`; None takes the kind's default.
        loss_weight: factor on the task's term of the total loss, above any weighting method.
        offset: regression: subtracted from labels before they are scaled (None: 0). Binary: the base
            rate of positives, in (0, 1), from which the output's bias starts (None: one half).
        scale: regression only: labels are trained as `(y - offset) / scale`, and predictions are mapped
            back inside the model (None: 1).
        negatives_kept: binary only: the share w of the negatives that training was given, unweighted.
            Sampling multiplies the odds by 1/w, so `log(w)` is added to logits in predictions, which are
            then those of the full data: p / (p + (1 - p) / w) (He et al., "Practical lessons from
            predicting clicks on ads at Facebook", ADKDD 2014, section 6.3). The loss, and `offset`, are of
            the data as sampled (None: 1).

    Raises:
        ValueError: for a kind, loss or number that does not fit.
    """

    name: str
    kind: str
    loss: str | None = None
    loss_weight: float = 1.0
    offset: float | None = None
    scale: float | None = None
    negatives_kept: float | None = None

    def __post_init__(self):
        if self.kind not in LOSSES_BY_KIND:
            raise ValueError(f"task '{self.name}': kind '{self.kind}' is not one of {list(LOSSES_BY_KIND)}")
        losses = LOSSES_BY_KIND[self.kind]
        if self.loss is None:
            object.__setattr__(self, "loss", losses[0])
        if self.loss not in losses:
            raise ValueError(
                f"task '{self.name}': loss '{self.loss}' does not fit a {self.kind} task; "
                f"it takes one of {list(losses)}"
            )
        if not (math.isfinite(self.loss_weight) and self.loss_weight >= 0):
            raise ValueError(f"task '{self.name}': loss_weight {self.loss_weight} must be finite and >= 0")
        if self.kind == "binary":
            if self.scale is not None:
                raise ValueError(f"task '{self.name}': a binary task takes no scale")
            if self.offset is not None and not 0 < self.offset < 1:
                raise ValueError(
                    f"task '{self.name}': offset {self.offset} is the base rate of a binary "
                    "task and must lie strictly between 0 and 1"
                )
            if self.negatives_kept is not None and not 0 < self.negatives_kept <= 1:
                raise ValueError(
                    f"task '{self.name}': negatives_kept {self.negatives_kept} is a share: above 0, at most 1"
                )
        else:
            if self.scale is not None and not self.scale > 0:
                raise ValueError(f"task '{self.name}': scale {self.scale} must be above 0")
            if self.negatives_kept is not None:
                raise ValueError(f"task '{self.name}': a {self.kind} task has no negatives to keep")

    def get_config(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "Task":
        return cls(**config)
