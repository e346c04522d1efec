"""The parts of a recipe as strict types. Each field's description is its entry in the reference."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pipeline.metric_names import DIRECTIONS
from pipeline.recipe.durations import Delay, Window

NAME = re.compile(r"[a-z][a-z0-9_]*")
OUTSIDE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _name(value: str) -> str:
    if not NAME.fullmatch(value) or len(value) > 100:
        raise ValueError(
            "a name is lower-case letters, digits and _, starts with a letter, and has at most 100; "
            "`column:` says what the source calls it"
        )
    return value


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_name)]
Files = Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
Names = Annotated[list[Name], BeforeValidator(as_list), Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
ColumnType = Literal["int", "float", "string", "time", "date", "list[int]", "list[string]", "vector"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Column(Part):
    """A column of a source. The short form `name: int` stands for `name: {type: int}`."""

    type: ColumnType = Field(
        description="`time` becomes int milliseconds and `date` int days, both since "
        "1970-01-01 UTC; `vector` is a list of numbers"
    )
    known: Literal["before", "after"] = Field(
        "before",
        description="whether the value is known before the impression; only then can it be a feature",
    )
    column: str | None = Field(None, description="what the source calls it, where that differs")
    unit: Literal["s", "ms", "us", "ns", "iso"] = Field(
        "ms",
        description="of a `time`: numbers since 1970 in this unit, or ISO-8601 texts (UTC where no "
        "offset is written)",
    )
    separator: str | None = Field(None, min_length=1, description="splits a text into a list")
    max_length: int | None = Field(None, ge=1, description="of a list: how many values are kept")
    longer: Literal["keep_first", "keep_last", "dead"] = Field(
        "keep_first",
        description="what becomes of a list with more: its first or its last values are kept, and the rows "
        "counted, or the row is a dead letter (of a request to the model the first are kept)",
    )
    missing: list[str] = Field(
        [""], description="texts that stand for a missing value, and the numbers they are"
    )
    required: bool = Field(False, description="a row without it is an anomaly that stops the run")
    values: list[str | int] | None = Field(
        None, min_length=1, description="the only values allowed; others stop the run"
    )
    min: float | None = Field(None, description="smallest value allowed; smaller ones stop the run")
    max: float | None = Field(None, description="largest value allowed; larger ones stop the run")

    private: bool = Field(
        False,
        description="hashed with the key in the environment variable MTL_PRIVATE_KEY as it is read, so that "
        "nothing a run writes has the values themselves; whoever asks the model hashes alike",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agree(self) -> "Column":
        if self.separator is not None and not self.type.startswith("list["):
            raise ValueError(f"separator needs a list type, not {self.type}; write type: list[string]")
        if self.max_length is not None and not self.type.startswith("list["):
            raise ValueError(f"max_length bounds lists; this column is a {self.type}")
        if self.max_length is None and self.longer != "keep_first":
            raise ValueError("longer needs max_length: longer than what?")
        if (self.min is not None or self.max is not None) and self.type not in (
            "int",
            "float",
            "time",
            "date",
        ):
            raise ValueError(f"min and max bound numbers; this column is a {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}; nothing could pass")
        if self.private and self.type not in ("int", "string", "list[int]", "list[string]"):
            raise ValueError(
                f"private hashes ids, which are int or string, or lists of them; this is a {self.type}"
            )
        bounded = [name for name in ("values", "min", "max") if getattr(self, name) is not None]
        if self.private and bounded:
            raise ValueError(f"{bounded[0]} bounds what a hash takes the place of; leave it out, or private")
        if self.values is not None:
            kind = {"int": int, "list[int]": int, "string": str, "list[string]": str}.get(self.type)
            if kind is None or not all(type(v) is kind for v in self.values):
                raise ValueError(
                    f"values lists the {'numbers' if kind is int else 'texts'} allowed in a column of type "
                    f"{self.type}"
                    if kind
                    else f"values are for ints and strings; use min and max for {self.type}"
                )
        return self

    @property
    def expression_type(self) -> str:
        """The type the column has inside an expression."""
        return "int" if self.type in ("time", "date") else self.type


class Source(Part):
    """Files with rows. CSV, JSON Lines and Parquet, plain or .gz or .bz2, by their endings."""

    files: Files = Field(
        description="paths or patterns below the input folder, such as `logs/*.parquet`, or on s3, gs or "
        "hdfs, such as `s3://bucket/logs/*.parquet`"
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(
        None, description="where the ending does not say"
    )
    delimiter: str = Field(
        ",", pattern=r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$", description="of CSV: one ASCII character"
    )
    header: bool = Field(
        True,
        description="of CSV: whether the first line names the columns; where not, "
        "`columns` lists all of them in order",
    )
    columns: dict[Name, Column] = Field(
        min_length=1,
        description="the columns used, by the names they have from "
        "here on; others in the files are left unread",
    )


class Log(Source):
    """The impression log: one row for each item shown."""

    unique: list[Name] = Field(
        [], description="columns that identify a row; later repeats are dropped and counted"
    )


class Catalog(Source):
    """A table joined to the log by key, such as users or items."""

    key: Name = Field(description="the column that identifies a row")
    on: Name | None = Field(None, description="the log's column to join with, where it is named otherwise")
    time: Name | None = Field(
        None,
        description="when a row began to hold (a column of type time): each impression "
        "is joined with the newest row not later than itself",
    )
    unmatched: Literal["missing", "dead"] = Field(
        "missing",
        description="what an impression without a row becomes: one with missing values, or a dead letter",
    )
    serving: Literal["on_request", "in_model"] = Field(
        "on_request",
        description="where the served model has the columns from: a request, as all others, or a copy of the "
        "catalog inside the model, so that a request has the key alone. The copy is that of the run, and in "
        "the memory of every server",
    )
    join: Literal["auto", "in_memory", "by_key"] = Field(
        "auto",
        description="in_memory holds the catalog whole in every worker; by_key sorts both sides into "
        "partitions on disk first, and needs memory for one of them; auto chooses by the files' size",
    )


class Events(Source):
    """A log of what followed impressions, one row an event; labels of tasks are made from it. Its columns
    have names of their own, apart from those of the log."""

    keys: Names = Field(
        description="the columns that tell which impression an event belongs to, such as a request and an "
        "item; the log has columns of the same names and types"
    )
    time: Name = Field(description="when the event happened (a column of type time)")
    unique: list[Name] = Field(
        [], description="columns that identify an event; later repeats are dropped and counted"
    )
    complete_until: str | None = Field(
        None,
        description="ISO date or time (UTC where no offset is written) up to which every event has arrived; "
        "the newest event's where left out",
    )


class Sources(Part):
    """Where the rows come from."""

    log: Log
    catalogs: dict[Name, Catalog] = {}
    events: dict[Name, Events] = {}


class Roles(Part):
    """Which columns play which part in splits, metrics, slices and requests. None is a feature by itself."""

    user: Name | None = None
    item: Name | None = None
    request: Name | None = None
    time: Name | None = None
    position: Name | None = None
    scenario: Name | None = None

    def named(self) -> dict[str, str]:
        """The roles that are set, role → column."""
        return {role: column for role, column in self if column is not None}


class _Earlier(Part):
    by: Names = Field(
        description="the columns whose values a row and the earlier ones share, such as the user"
    )
    where: str | None = Field(None, description="the condition an earlier row must meet, at its own values")
    window: Window | None = Field(
        None, description="how far back earlier rows count; without end where left out"
    )
    delay: Delay = Field(
        "0s",
        description="how long it takes until a row's outcome is known where the model serves: rows younger "
        "than this are not seen yet",
    )


class LastItems(_Earlier):
    """The values of a column in the last earlier rows, the newest at the end: a list."""

    kind: Literal["last"]
    of: Name = Field(description="the column, of type int or string; rows where it is missing are left out")
    n: int = Field(ge=1, le=10_000, description="how many")


class EarlierCount(_Earlier):
    """How many earlier rows there are: an int."""

    kind: Literal["count"]


class EarlierRate(_Earlier):
    """The share of earlier rows for which a condition holds: a float, missing where there are none."""

    kind: Literal["rate"]
    of: str = Field(description="the condition, such as `click == 1`")


Earlier = Annotated[LastItems | EarlierCount | EarlierRate, Field(discriminator="kind")]


class TimeSplit(Part):
    """By time, each split later than the one before."""

    by: Literal["time"]
    validation_from: str = Field(
        description="ISO date or time at which validation begins; training is before"
    )
    test_from: str = Field(description="ISO date or time at which test begins")
    utc_offset_hours: float = Field(0, ge=-14, le=14, description="of the dates above")


class HashSplit(Part):
    """By the hash of a role, so that all of a user's rows (say) are in one split."""

    by: Literal["hash"]
    of: Literal["user", "item", "request", "row"] = Field(
        description="a role, or the row's place in its source"
    )
    validation: float = Field(gt=0, lt=1, description="share of rows")
    test: float = Field(gt=0, lt=1, description="share of rows")

    @model_validator(mode="after")
    def _leaves_some(self) -> "HashSplit":
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation and test take {self.validation + self.test:g} of the rows; leave some to train"
            )
        return self


class FileSplit(Part):
    """By source file. A file that two splits name is divided evenly between them by hash of the row."""

    by: Literal["file"]
    train: Files
    validation: Files
    test: Files


Splits = Annotated[TimeSplit | HashSplit | FileSplit, Field(discriminator="by")]


class Downsampling(Part):
    """Leaves out negatives of training, by a hash of the row, and corrects for it, so that probabilities are
    those of the full log. Validation and test keep every row."""

    task: Name = Field(description="a binary task; its rows with label 0 are thinned out")
    keep: float = Field(gt=0, lt=1, description="share of those rows that training keeps")
    correction: Literal["weight", "logit"] = Field(
        "weight",
        description="weight: each row kept counts 1/keep times, for every task. logit: the task itself is "
        "trained as sampled, log(keep) is added to its logit in the exported model (He et al. 2014), and "
        "only the other tasks are weighted",
    )


class Dead(Part):
    """What becomes of rows that cannot be read or joined."""

    max_share: Share = Field(
        0.01, description="the run stops where more than this share of the rows read is dead"
    )


class Schedule(Part):
    """Both learning rates over the steps of training."""

    name: Literal["constant", "cosine"] = Field(
        "constant", description="cosine falls to 0 at the last epoch's end"
    )
    warmup_steps: int = Field(0, ge=0, description="steps of linear increase from 0")


class Stopping(Part):
    """When training ends and which epoch is kept: the best on validation, for all tasks together."""

    objective: dict[Name, Annotated[float, Field(ge=0)]] | None = Field(
        None,
        description="task → weight in the mean of gains over the best constant prediction: 2·AUC − "
        "1 of a binary task, "
        "1 − MAE / MAE of the median of a regression (RMSE and the mean with losses weighted_logistic and "
        "ziln), 1 − log loss / entropy of the labels of a multiclass task, quadratic kappa of an ordinal "
        "task; all tasks alike where left out",
    )
    patience: int = Field(2, ge=1, description="epochs without a better mean before training ends")


class Gate(Part):
    """A bound that the new model must keep to replace the serving one. All are judged on test."""

    task: Name
    metric: Literal[tuple(DIRECTIONS)]
    slice: str | None = Field(
        None,
        description="`column=value`, or `a=1 & b=2` of a cross, however rare; everything where left out",
    )
    lower: float | None = Field(None, description="smallest value allowed")
    upper: float | None = Field(None, description="largest value allowed")
    max_drop: float | None = Field(None, ge=0, description="how much worse than the serving model is allowed")
    interval: Literal["whole", "any"] | None = Field(
        None,
        description="judges `lower`, `upper` and `max_drop` by the 95 % interval (of `max_drop` that of the "
        "difference to the serving model): `whole` passes only where all of it keeps the bound, `any` fails "
        "only where none of it does; by the value alone where left out",
    )
    better: bool = Field(
        False,
        description="significantly better than the serving model: all of the difference's 95 % interval is "
        "on the better side",
    )
    min_examples: int = Field(0, ge=0, description="with fewer rows the gate is skipped, and says so")

    @model_validator(mode="after")
    def _bounds(self) -> "Gate":
        bounded = any(bound is not None for bound in (self.lower, self.upper, self.max_drop))
        if not bounded and not self.better:
            raise ValueError("a gate needs lower, upper, max_drop or better")
        if not bounded and self.interval is not None:
            raise ValueError(
                "interval says how lower, upper and max_drop are judged; give one, or leave it out"
            )
        return self


class Evaluation(Part):
    """What is measured on test."""

    slices: list[str] = Field(
        [],
        description="columns, and crosses `a & b` of them; metrics are also given for each of their values, "
        "and always for those of the scenario and for `new_user` and `new_item`: whether the user or item is "
        "absent from training",
    )
    max_slice_values: int = Field(
        20, ge=1, description="of a column or cross: its most frequent values; what a gate names comes on top"
    )
    k: int = Field(
        10, ge=1, le=1_000_000, description="of NDCG and recall: how many of a request's first rows count"
    )
    quantile: float = Field(0.5, gt=0, lt=1, description="of the quantile loss of regressions")
    replicates: int = Field(200, ge=0, description="of the bootstrap by user; 0 leaves intervals out")
    weighted: bool = Field(
        False, description="metrics use the rows' weights, not only whether the label is known"
    )
    references: dict[Name, dict[Name, str]] = Field(
        {},
        description="task → name → column (or expression) that holds another system's score or a true "
        "probability; it is measured beside the model and never a feature",
    )


class ServingBounds(Part):
    """What the check before push allows; what is left out has no bound. Measured on the machine that runs the
    pipeline, with `mtl serve`'s server."""

    max_latency_ms: float | None = Field(
        None, gt=0, description="of a gRPC request of `check_rows` rows, the median of 20"
    )
    max_memory_mb: float | None = Field(
        None, gt=0, description="the most that the serving process holds, TensorFlow's own included; MiB"
    )
    max_size_mb: float | None = Field(None, gt=0, description="of the model's files; MiB")


class Serving(Part):
    """What the pushed model answers beside its tasks."""

    score: dict[Name, float] | None = Field(
        None,
        min_length=1,
        description="task → weight in `score`; equal where left out. An ordinal task counts with its "
        "expected class, a multiclass task has no place in it",
    )
    fusion: Literal["sum", "product"] = Field("sum", description="Σ w·p, or Π p^w")
    check_rows: int = Field(
        128, ge=1, description="real rows the pushed form must answer as offline prediction did"
    )
    tolerance: float = Field(
        1e-5, gt=0, description="largest difference allowed there, relative to max(1, |value|)"
    )
    check: ServingBounds = Field(ServingBounds(), description="bounds on time, memory and size")
    publish: str | None = Field(
        None,
        min_length=1,
        description="a place on s3, gs or hdfs, such as `s3://bucket/models/shop`, that a run copies the "
        "version that serves to, for servers that have it as the model's base path",
    )
