"""The parts of a recipe that say what is searched: weights of the score, and settings."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.recipe.parts import Name, Part


class FuseBound(Part):
    """What a task's metric must keep while others gain."""

    task: Name
    lower: float | None = Field(None, description="smallest value allowed")
    max_drop: float | None = Field(
        None, ge=0, description="how much lower it may be than by `serving.score` as it is"
    )

    @model_validator(mode="after")
    def _bounds(self) -> "FuseBound":
        if self.lower is None and self.max_drop is None:
            raise ValueError("a bound needs lower or max_drop")
        return self


class Fuse(Part):
    """What `mtl fuse` searches the weights of `serving.score` for. It is measured within requests of the
    validation split, and changes nothing in a run."""

    maximize: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="task → weight in the mean of the tasks' metric, which is to be greatest"
    )
    metric: Literal["ndcg_at_k", "recall_at_k", "gauc_request"] = Field(
        "ndcg_at_k",
        description="of every task, with `evaluation.k`. NDCG also takes tasks with a quantity or an order: "
        "a row's gain is its label (Järvelin & Kekäläinen 2002). The others take binary tasks",
    )
    bounds: list[FuseBound] = Field([], description="of tasks that others must not gain from without limit")
    unknown_as_zero: list[Name] = Field(
        [],
        description="tasks whose unknown labels count as 0; elsewhere rows of unknown label are left out. Of "
        "a purchase that is known only where clicked: what was not clicked was not bought",
    )
    candidates: int = Field(500, ge=20, le=20_000, description="points tried")
    seed: int = Field(1, ge=0, lt=2**31, description="of the points tried")


class Range(Part):
    """Numbers to try, from `min` to `max`; whole ones where both are whole."""

    min: int | float
    max: int | float
    log: bool = Field(False, description="try orders of magnitude alike")

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.min < self.max:
            raise ValueError("min must be below max")
        if self.log and self.min <= 0:
            raise ValueError("log needs min above 0")
        return self


# told apart by form, so that a mistake in one is not told as if the other were meant
_Tried = Annotated[
    Annotated[Range, Tag("Range")] | Annotated[list[Any], Field(min_length=2), Tag("array")],
    Discriminator(lambda given: "Range" if isinstance(given, (dict, Range)) else "array"),
]


class Tune(Part):
    """Settings that a run tries before it trains: random trials, judged by the mean of gains that
    `training.stopping.objective` weighs, on validation. The first trial is the recipe as it is."""

    space: dict[str, _Tried] = Field(
        min_length=1,
        description="dotted path → values to try, such as `model.tower_units: [[32], [64, 32]]`, or a range: "
        "`training.optimizer.dense.learning_rate: {min: 0.0003, max: 0.01, log: true}`",
    )
    trials: int = Field(20, ge=2, le=10_000, description="at most")
    seed: int = Field(
        1, ge=1, lt=2**31, description="of the values tried; trials all train with training.seed"
    )
