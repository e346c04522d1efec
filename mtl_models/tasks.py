"""What a task is. Plain data: reading this module loads neither Keras nor TensorFlow."""

import dataclasses
import math

LOSSES_BY_KIND = {
    "binary": ("binary_crossentropy", "focal", "listwise"),
    "regression": ("mse", "mae", "huber", "log_mse", "weighted_logistic", "duration_quantile", "ziln"),
    "multiclass": ("categorical_crossentropy",),
    "ordinal": ("cumulative_logit", "coral"),
}
"""The losses of each kind of task; the first is the kind's default."""

_LINEAR = ("mse", "mae", "huber", "log_mse")
_CLASSES = (*LOSSES_BY_KIND["multiclass"], *LOSSES_BY_KIND["ordinal"])
TAKEN_BY = {
    "offset": (*LOSSES_BY_KIND["binary"], *_LINEAR),
    "scale": (*_LINEAR, "weighted_logistic", "ziln"),
    "negatives_kept": ("binary_crossentropy",),
    "classes": _CLASSES,
    "shares": (*_CLASSES, "ziln"),
    "gamma": ("focal",),
    "list_share": ("listwise",),
    "smearing": ("log_mse",),
    "duration_edges": ("duration_quantile",),
    "watch_quantiles": ("duration_quantile",),
}
"""Which losses take a field of `Task`; the fields that are not here fit every task."""

DENSITIES = ("ziln",)
"""Losses that may be below 0, being the negative logarithm of a density."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing to predict.

    Args:
        name: the key of the task's label, weight and prediction.
        kind: "binary" (labels 0 and 1, predictions are probabilities), "regression" (labels and
            predictions in the label's own units), "multiclass" or "ordinal" (labels 0 to `classes` - 1, of
            ordinal tasks in their order; predictions are one probability a class).
        loss: one of `LOSSES_BY_KIND[kind]`; None takes the kind's default.
        loss_weight: factor on the task's term of the total loss, above any weighting method.
        offset: mse, mae, huber, log_mse: subtracted from labels (log_mse: from their log1p) before they are
            scaled (None: 0). Binary: the base rate of positives, in (0, 1), from which the output's bias
            starts (None: one half).
        scale: regression only: mse, mae, huber and log_mse are trained on `(y - offset) / scale`,
            weighted_logistic and ziln on `y / scale`, and predictions are mapped back inside the model
            (None: 1).
        negatives_kept: binary_crossentropy only: the share w of the negatives that training was given,
            unweighted. Sampling multiplies the odds by 1/w, so `log(w)` is added to logits in predictions,
            which are then those of the full data: p / (p + (1 - p) / w) (He et al., "Practical lessons from
            predicting clicks on ads at Facebook", ADKDD 2014, section 6.3). The loss, and `offset`, are of
            the data as sampled (None: 1).
        classes: multiclass and ordinal: K, how many classes, at least 2.
        shares: multiclass and ordinal: each class's share of the labels, [K], from which the output's bias
            starts (None: all alike). ziln: the shares of labels that are 0 and above 0, [2].
        gamma: focal: how strongly rows that are predicted well are left alone, at least 0 (None: 2).
        list_share: listwise: α, the share of the loss within a request, from 0 to 1 (None: 0.5).
        smearing: log_mse: the factor that makes predictions means, see `mtl_models.smear` (None: 1, with
            which predictions are medians, where errors of the log are symmetric).
        duration_edges: duration_quantile: ascending durations that part the groups, each the last of the
            group below, [G - 1]; see `mtl_models.duration_quantiles`.
        watch_quantiles: duration_quantile: watch time at evenly spaced levels from 0 to 1 in each group,
            and last in rows without a duration, [G + 1, levels].

    Raises:
        ValueError: for a kind, loss or number that does not fit.

    Example:
        >>> Task("rating", "ordinal", classes=5).loss
        'cumulative_logit'
    """

    name: str
    kind: str
    loss: str | None = None
    loss_weight: float = 1.0
    offset: float | None = None
    scale: float | None = None
    negatives_kept: float | None = None
    classes: int | None = None
    shares: tuple[float, ...] | None = None
    gamma: float | None = None
    list_share: float | None = None
    smearing: float | None = None
    duration_edges: tuple[float, ...] | None = None
    watch_quantiles: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self):
        if self.kind not in LOSSES_BY_KIND:
            raise ValueError(f"task '{self.name}': kind '{self.kind}' is not one of {list(LOSSES_BY_KIND)}")
        losses = LOSSES_BY_KIND[self.kind]
        if self.loss is None:
            self._set("loss", losses[0])
        if self.loss not in losses:
            raise ValueError(
                f"task '{self.name}': loss '{self.loss}' does not fit a {self.kind} task; "
                f"it takes one of {list(losses)}"
            )
        for field, takers in TAKEN_BY.items():
            if getattr(self, field) is not None and self.loss not in takers:
                raise ValueError(
                    f"task '{self.name}': a {self.kind} task with loss {self.loss} takes no {field}; "
                    f"it is for {', '.join(takers)}"
                )
        self._check_numbers()
        if self.loss in _CLASSES:
            self._check_classes()
        if self.loss == "duration_quantile":
            self._check_quantiles()
        elif self.shares is not None:
            self._check_shares(self.classes or 2)

    def _set(self, field: str, value) -> None:
        object.__setattr__(self, field, value)

    def _refuse(self, what: str):
        raise ValueError(f"task '{self.name}': {what}")

    def _check_numbers(self) -> None:
        if not (math.isfinite(self.loss_weight) and self.loss_weight >= 0):
            self._refuse(f"loss_weight {self.loss_weight} must be finite and >= 0")
        if self.kind == "binary" and self.offset is not None and not 0 < self.offset < 1:
            self._refuse(
                f"offset {self.offset} is the base rate of a binary task and must lie strictly between "
                "0 and 1"
            )
        if self.negatives_kept is not None and not 0 < self.negatives_kept <= 1:
            self._refuse(f"negatives_kept {self.negatives_kept} is a share: above 0, at most 1")
        for field in ("scale", "smearing"):
            value = getattr(self, field)
            if value is not None and not (value > 0 and math.isfinite(value)):
                self._refuse(f"{field} {value} must be above 0 and finite")
        if self.gamma is not None and not 0 <= self.gamma <= 100:
            self._refuse(f"gamma {self.gamma} must be from 0 to 100")
        if self.list_share is not None and not 0 <= self.list_share <= 1:
            self._refuse(f"list_share {self.list_share} is a share: from 0 to 1")

    def _check_classes(self) -> None:
        if self.classes is None or self.classes < 2 or int(self.classes) != self.classes:
            self._refuse(f"a {self.kind} task needs `classes`, a whole number from 2; it has {self.classes}")

    def _check_shares(self, size: int) -> None:
        self._set("shares", tuple(float(s) for s in self.shares))
        if len(self.shares) != size or not min(self.shares) >= 0 or abs(sum(self.shares) - 1) > 1e-3:
            self._refuse(f"shares must be {size} numbers from 0 that add up to 1; they are {self.shares}")

    def _check_quantiles(self) -> None:
        if self.duration_edges is None or self.watch_quantiles is None:
            self._refuse(
                "loss duration_quantile needs duration_edges and watch_quantiles; "
                "mtl_models.duration_quantiles makes them from training rows"
            )
        edges = tuple(float(e) for e in self.duration_edges)
        tables = tuple(tuple(float(v) for v in table) for table in self.watch_quantiles)
        self._set("duration_edges", edges)
        self._set("watch_quantiles", tables)
        levels = {len(table) for table in tables}
        if len(tables) != len(edges) + 2 or len(levels) != 1 or min(levels) < 2:
            self._refuse(
                f"{len(edges)} duration_edges part {len(edges) + 1} groups, and watch_quantiles must have a "
                "row of at least 2 levels for each and for rows without a duration; it has rows of "
                f"{[len(table) for table in tables]}"
            )
        if not all(a <= b for row in (edges, *tables) for a, b in zip(row, row[1:])):
            self._refuse("duration_edges and every row of watch_quantiles must ascend")
        if not all(math.isfinite(v) for row in (edges, *tables) for v in row):
            self._refuse("duration_edges and watch_quantiles must be finite")

    def get_config(self) -> dict:
        """Plain JSON values, so that what was saved as JSON reads back the same."""
        return {
            name: [list(v) if isinstance(v, tuple) else v for v in value]
            if isinstance(value, tuple)
            else value
            for name, value in ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        }

    @classmethod
    def from_config(cls, config: dict) -> "Task":
        return cls(**config)
