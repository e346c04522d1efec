"""The tasks of a recipe as strict types. Each field's description is its entry in the reference."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from pipeline.recipe.durations import Window
from pipeline.recipe.parts import Name, Part

MAX_CLASSES = 1000
SIDE_INPUTS = {"listwise": "request", "duration_quantile": "duration"}
"""What a loss needs of a row beside features and label, so that examples must hold it."""
_LOSS_SETTINGS = {"gamma": "focal", "list_share": "listwise", "duration_groups": "duration_quantile"}


class FromEvents(Part):
    """A label made from rows of an event log. An event belongs to the newest impression with its keys that is
    not later than itself and not older than the window."""

    source: Name = Field(description="one of `sources.events`")
    where: str | None = Field(None, description="which events count: a condition over the event's columns")
    window: Window = Field(description="how long after the impression an event counts, such as 36h or 7d")
    open: Literal["mask", "negative"] = Field(
        "mask",
        description="what a row is whose window was not over when the events were collected: without a "
        "label for this task, or as if nothing more will follow (which makes the model expect too little)",
    )


class SumOfEvents(FromEvents):
    """The same for a quantity: the sum over the impression's events."""

    value: str | None = Field(
        None, description="a number of each event, missing as 0; their count where left out"
    )


class _AnyTask(Part):
    label: str | None = Field(
        None,
        description="a column or an expression, missing where unknown; of a binary task true or 1 "
        "where it happened",
    )
    where: str | None = Field(
        None,
        description="the condition under which the label exists; it may also name a binary task whose label "
        "is made from events",
    )
    weight: str | None = Field(None, description="a column or an expression: the row's weight in the loss")
    loss_weight: float = Field(1.0, ge=0, description="multiplies the task's loss")
    calibration: Literal["none", "platt", "temperature", "isotonic"] = Field(
        "none",
        description="what predicted probabilities go through, fitted on validation after training and "
        "exported with the model, by the weights that evaluation uses. platt: a slope and an intercept of "
        "the logit (Platt 1999). isotonic: any increasing function, without ties; wants some thousands of "
        "labels (Zadrozny & Elkan 2002). temperature: confidence alone, no base rate (Guo et al. 2017); also "
        "of tasks of classes. Not of regressions",
    )

    @model_validator(mode="after")
    def _settings_of_the_loss(self) -> "_AnyTask":
        for name, loss in _LOSS_SETTINGS.items():
            field = type(self).model_fields.get(name)
            if field is not None and getattr(self, name) != field.default and self.loss != loss:
                raise ValueError(f"{name} is a setting of loss {loss}; here the loss is {self.loss}")
        return self


def _one_label(task: Any) -> Any:
    if (task.label is None) == (task.events is None):
        raise ValueError(
            "needs `label:` (a column or an expression) or `events:` (rows of an event log)"
            + (", not both" if task.label is not None else "")
        )
    return task


class BinaryTask(_AnyTask):
    """Something happens or not: predicts its probability."""

    kind: Literal["binary"]
    events: FromEvents | None = Field(None, description="in place of `label`: rows of an event log")
    loss: Literal["binary_crossentropy", "focal", "listwise"] = Field(
        "binary_crossentropy",
        description="focal: rows predicted well count little (Lin et al. 2017); its predictions rank, but "
        "are biased as probabilities, which calibration mends. listwise: binary cross-entropy and ranking "
        "within a request (Bai et al. 2023); needs roles.request",
    )
    gamma: float = Field(2.0, ge=0, le=100, description="of loss focal: how little they count; 0: as any")
    list_share: float = Field(0.5, ge=0, le=1, description="of loss listwise: the share of ranking")

    @model_validator(mode="after")
    def _one_label(self) -> "BinaryTask":
        return _one_label(self)


class RegressionTask(_AnyTask):
    """A quantity: predicts its value."""

    kind: Literal["regression"]
    events: SumOfEvents | None = Field(None, description="in place of `label`: rows of an event log")
    loss: Literal["mse", "mae", "huber", "log_mse", "weighted_logistic", "duration_quantile", "ziln"] = Field(
        "mse",
        description="log_mse: of log(1 + y); predictions are means, by a factor fitted on validation (Duan "
        "1983). weighted_logistic: watch time as odds (Covington et al. 2016); predictions are means. "
        "duration_quantile: watch time as its quantile among items of like `duration` (Zhan et al. 2022); "
        "ranks, predictions are no means. ziln: mostly 0, else heavy-tailed, as spend is (Wang et al. 2019). "
        "These four take labels from 0",
    )
    duration: Name | None = Field(
        None, description="of loss duration_quantile: the column with the item's length, known before"
    )
    duration_groups: int = Field(
        30, ge=1, le=1000, description="of loss duration_quantile: groups of like duration"
    )

    @property
    def from_zero(self) -> bool:
        """Whether labels below 0 make no sense."""
        return self.loss not in ("mse", "mae", "huber")

    @model_validator(mode="after")
    def _one_label(self) -> "RegressionTask":
        return _one_label(self)

    @model_validator(mode="after")
    def _duration(self) -> "RegressionTask":
        if (self.duration is None) == (self.loss == "duration_quantile"):
            raise ValueError(
                "loss duration_quantile needs `duration:`, the column with the item's length"
                if self.duration is None
                else f"duration is read by loss duration_quantile alone; here the loss is {self.loss}"
            )
        return self


def _classes(value: Any) -> list[int] | list[str]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = list(range(value)) if 0 <= value <= MAX_CLASSES else []
    kinds = {type(v) for v in value} if isinstance(value, list) else set()
    if kinds not in ({int}, {str}) or not 2 <= len(set(value)) == len(value) <= MAX_CLASSES or "" in value:
        raise ValueError(
            f"must be how many classes there are (from 2 to {MAX_CLASSES}; labels are then 0, 1, …), or a "
            "list of them, each once: all texts or all whole numbers (a text such as true or 1 in quotes)"
        )
    return value


Classes = Annotated[
    list[int] | list[str],
    PlainValidator(_classes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 2, "maximum": MAX_CLASSES},
                {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 2},
            ]
        }
    ),
]


class _ClassTask(_AnyTask):
    label: str = Field(
        description="a column or an expression whose values are classes, missing where unknown"
    )
    classes: Classes = Field(
        description="how many there are, where labels are 0, 1, …; or the labels' values, of an ordinal task "
        "from the lowest to the highest"
    )

    @property
    def events(self) -> None:
        """None: classes come from a label."""


class MulticlassTask(_ClassTask):
    """One of several classes: predicts a probability for each."""

    kind: Literal["multiclass"]
    loss: Literal["categorical_crossentropy"] = "categorical_crossentropy"


class OrdinalTask(_ClassTask):
    """One of several classes that have an order, such as ratings: predicts a probability for each."""

    kind: Literal["ordinal"]
    loss: Literal["cumulative_logit", "coral"] = Field(
        "cumulative_logit",
        description="cumulative_logit: the likelihood of the proportional-odds model (McCullagh 1980). "
        "coral: one binary question a threshold, all alike (Cao et al. 2020)",
    )


Task = Annotated[BinaryTask | RegressionTask | MulticlassTask | OrdinalTask, Field(discriminator="kind")]
CLASS_KINDS = ("multiclass", "ordinal")
"""Kinds whose labels are classes and whose predictions are one probability a class."""
