"""The recipe as one typed object: everything else reads this and nothing else."""

from functools import cached_property, reduce
from typing import Annotated, Any, Literal, Union

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, create_model, model_validator

from pipeline.recipe import constructors
from pipeline.recipe.beam import Beam
from pipeline.recipe.encoders import Content, Encoder
from pipeline.recipe.expressions import Expression, parse
from pipeline.recipe.features import KEYED, VECTORS, Feature
from pipeline.recipe.notify import Notify
from pipeline.recipe.parts import (
    OUTSIDE,
    Column,
    Dead,
    Downsampling,
    Earlier,
    Evaluation,
    Gate,
    Name,
    Part,
    Roles,
    Schedule,
    Serving,
    Sources,
    Splits,
    Stopping,
)
from pipeline.recipe.searches import Fuse, Tune
from pipeline.recipe.skew import Skew
from pipeline.recipe.spans import Spans
from pipeline.recipe.tasks import SIDE_INPUTS, Task
from pipeline.recipe.vector_gates import VectorGate
from pipeline.recipe.warm_start import WarmStart
from pipeline.slice_names import NEW_ROLES, features_of


class Outside(Part):
    """A class of your own, from a package that is installed beside this one."""

    name: str = Field(pattern=OUTSIDE.pattern, description="`package.module:Class`")
    settings: dict[str, Any] = Field({}, description="its constructor's arguments")


def _tag(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return "outside" if isinstance(name, str) and ":" in name else name


def _union(folder: str, exclude: tuple[str, ...] = (), outside: bool = True) -> Any:
    """The choice between the parts in a folder of `mtl_models`, told apart by `name`."""
    choices = []
    for name in constructors.part_names(folder):
        settings = constructors.part_settings(folder, name, exclude)
        choice = create_model(
            settings.__name__, __base__=settings, __doc__=settings.__doc__, name=(Literal[name], Field(name))
        )
        choices.append(Annotated[choice, Tag(name)])
    if outside:
        choices.append(Annotated[Outside, Tag("outside")])
    return Annotated[reduce(lambda a, b: Union[a, b], choices), Discriminator(_tag)]


_STRUCTURAL = ("layout", "tasks", "architecture", "weighting", "numeric_bins", "calibrators", "seed")
_ModelSettings = constructors.class_settings("model.py", "MultiTaskModel", _STRUCTURAL)


class Model(_ModelSettings):  # type: ignore[misc, valid-type]
    """The network."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    architecture: _union("architectures", ("num_tasks",)) = Field(  # type: ignore[valid-type]
        description="how tasks share: `name` and the settings of that architecture"
    )
    numeric_bins: int = Field(
        32,
        ge=1,
        le=1024,
        description="piecewise_linear: how many bins a number has at most, at its quantiles in training",
    )

    def settings(self) -> dict[str, Any]:
        """What the constructor of `MultiTaskModel` takes, beyond structure."""
        return {name: getattr(self, name) for name in _ModelSettings.model_fields}


class DenseOptimizer(Part):
    """Of everything but the embedding table."""

    name: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    learning_rate: float = Field(1e-3, gt=0, le=100)
    weight_decay: float | None = Field(None, ge=0, description="decoupled; the table is left out of it")


class Optimizers(Part):
    """How weights are updated: the embedding table by rows, all else densely."""

    dense: DenseOptimizer = DenseOptimizer()
    embedding: _union("optimizers")  # type: ignore[valid-type]

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, dict) and "embedding" not in value:
            return {**value, "embedding": {"name": "adagrad"}}
        return value


class Training(Part):
    """How the model is trained."""

    batch_size: int = Field(1024, ge=1, le=10**7)
    epochs: int = Field(5, ge=1, le=100_000, description="at most; stopping may end it earlier")
    seed: int = Field(1, ge=0, lt=2**31, description="of initial weights, dropout and the order of rows")
    optimizer: Optimizers = Field(default_factory=lambda: Optimizers.model_validate({}))
    schedule: Schedule = Schedule()
    clip_norm: float | None = Field(
        None, gt=0, description="the norm of all gradients, taken as one vector, is cut to this"
    )
    stopping: Stopping = Stopping()
    steps_per_execution: int = Field(16, ge=1, description="training steps run in one call of TensorFlow")
    jit_compile: bool | None = Field(
        None,
        description="compile the training step with XLA: a step then takes about a third of the time, and "
        "compiling a quarter of a minute; null compiles where all epochs are 4,000 steps or more. Steps over "
        "whole requests (a listwise loss) are not compiled",
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32",
        description="what layers compute in while training on a GPU; weights and the embedding table stay "
        "float32, and so does what is measured and served. Without a GPU training is in float32, as 16 bits "
        "would only be slower there",
    )
    warm_start: WarmStart | None = Field(
        None, description="begin from the model that serves; null trains every run from nothing"
    )
    distribution: Literal["none", "mirrored", "multi_worker"] = Field(
        "none",
        description="what shares a step: `mirrored` all GPUs of the machine (with one device it is `none`), "
        "`multi_worker` the devices of several processes, each `mtl train` with a TF_CONFIG of its own. "
        "batch_size is that of all together, and without dropout the model is the same to rounding; such "
        "steps are not compiled with XLA",
    )


def _gate_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "VectorGate" if "vectors" in value else "Gate"
    return type(value).__name__ if isinstance(value, VectorGate) else "Gate"


_Gate = Annotated[
    Annotated[Gate, Tag("Gate")] | Annotated[VectorGate, Tag("VectorGate")], Discriminator(_gate_tag)
]
_Weighting = _union("weighting")
_NEUTRAL_WEIGHTING = TypeAdapter(_Weighting).validate_python({"name": "equal"})


class Recipe(Part):
    """A recommender, described whole."""

    version: Literal[1] = Field(description="of the recipe's form")
    name: Name = Field(description="of the recommender; names its folder and served model")
    description: str = ""
    sources: Sources
    roles: Roles
    history: dict[Name, Earlier] = Field(
        {},
        description="name → what earlier rows of the log tell about a row; a column like those of sources, "
        "known before the impression",
    )
    derived: dict[Name, str] = Field(
        {}, description="name → expression over columns known before; computed inside the exported graph"
    )
    encoders: dict[Name, Encoder] = Field({}, description="name → what makes vectors of pictures or texts")
    content: Content = Content()
    features: dict[Name, Feature] = Field(description="what the model sees")
    tasks: dict[Name, Task] = Field(min_length=1, description="what it predicts")
    splits: Splits
    spans: Spans | None = None
    downsampling: Downsampling | None = None
    dead: Dead = Dead()
    model: Model
    weighting: _Weighting = Field(  # type: ignore[valid-type]
        description="how the tasks' losses are balanced: `name` and the settings of that method"
    )
    training: Training = Field(default_factory=lambda: Training.model_validate({}))
    gates: list[_Gate] | Literal["none"] = Field(  # type: ignore[valid-type]
        description="bounds the new model must keep; `none` must be written"
    )
    evaluation: Evaluation = Evaluation()
    serving: Serving = Serving()
    fuse: Fuse | None = None
    tune: Tune | None = None
    beam: Beam = Beam()
    pipeline_root: str | None = Field(
        None,
        description="gs://bucket/folder, mounted at /gcs/bucket, for what the steps of `mtl run` make; null "
        "keeps it in the output folder, where records, reports and models are in any case",
    )
    skew: Skew | None = None
    notify: Notify | None = None

    @cached_property
    def source_columns(self) -> dict[str, Column]:
        """The columns that sources give a row, by name: the log's, then each catalog's but its key."""
        found = dict(self.sources.log.columns)
        for catalog in self.sources.catalogs.values():
            found.update({n: c for n, c in catalog.columns.items() if n != catalog.key})
        return found

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column of a joined row, by name: those of sources, then those of history."""
        found = dict(self.source_columns)
        for name, earlier in self.history.items():
            if earlier.kind == "last":
                of = self.source_columns.get(earlier.of)
                kind = "int" if of is not None and of.type == "int" else "string"
                found[name] = Column(
                    type=f"list[{kind}]",
                    max_length=earlier.n,
                    longer="keep_last",
                    private=of is not None and of.private,
                )
            else:
                found[name] = Column(type="int" if earlier.kind == "count" else "float")
        return found

    @cached_property
    def column_types(self) -> dict[str, str]:
        """Column → its type inside an expression."""
        return {name: column.expression_type for name, column in self.columns.items()}

    @cached_property
    def derived_columns(self) -> dict[str, Expression]:
        """Derived columns in the order of the recipe; each may read those before it."""
        types = {n: t for n, t in self.column_types.items() if self.columns[n].known == "before"}
        parsed: dict[str, Expression] = {}
        for name, text in self.derived.items():
            parsed[name] = parse(text, types)
            types[name] = parsed[name].type
        return parsed

    @cached_property
    def input_columns(self) -> dict[str, Column]:
        """The columns that features and derived columns read."""
        derived = self.derived_columns
        wanted = [self.column_of(n) for n, f in self.features.items() if f.kind != "custom"]
        wanted += [self.duration] if self.duration is not None else []
        if any(f.kind == "custom" for f in self.features.values()):
            wanted += [n for n, c in self.columns.items() if c.known == "before"]
        needed: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in derived:
                wanted.extend(derived[name].columns)
            else:
                needed.add(name)
        return {name: column for name, column in self.columns.items() if name in needed}

    @cached_property
    def held_columns(self) -> dict[str, list[str]]:
        """Catalog → the input columns that the exported model finds in its own copy of it, by key."""
        found = {
            name: [n for n in catalog.columns if n != catalog.key and n in self.input_columns]
            for name, catalog in self.sources.catalogs.items()
            if catalog.serving == "in_model"
        }
        return {name: columns for name, columns in found.items() if columns}

    @cached_property
    def request_columns(self) -> dict[str, Column]:
        """What the exported model is sent: `input_columns`, with keys in place of what it finds by them."""
        held = {column for columns in self.held_columns.values() for column in columns}
        catalogs = (self.sources.catalogs[name] for name in self.held_columns)
        wanted = (self.input_columns.keys() - held) | {c.on or c.key for c in catalogs}
        return {name: column for name, column in self.columns.items() if name in wanted}

    @cached_property
    def example_columns(self) -> dict[str, Column]:
        """The columns written to examples: all that are known before the impression. Which of them are
        features is decided later, so that editing features does not ingest again."""
        return {n: c for n, c in self.columns.items() if c.known == "before"}

    @cached_property
    def side(self) -> tuple[str, ...]:
        """What the tasks' losses need of a row beside features and labels: `duration`, `request`."""
        return tuple(sorted({SIDE_INPUTS[t.loss] for t in self.tasks.values() if t.loss in SIDE_INPUTS}))

    @cached_property
    def score_weights(self) -> dict[str, float]:
        """Task → its weight in `score`; empty where no task has a single number for it."""
        found = {name: 1.0 for name, task in self.tasks.items() if task.kind != "multiclass"}
        return self.serving.score or found

    @property
    def duration(self) -> str | None:
        """The column that losses of watch time read."""
        return next((d for t in self.tasks.values() if (d := getattr(t, "duration", None))), None)

    @property
    def calibrated(self) -> dict[str, str]:
        """Task → method, of the tasks that are calibrated."""
        return {name: task.calibration for name, task in self.tasks.items() if task.calibration != "none"}

    @property
    def slices(self) -> list[str]:
        """Those asked for, and those there always are: of the scenario, and of new users and items."""
        roles = self.roles.named()
        always = [roles["scenario"]] if "scenario" in roles else []
        always += [name for name, role in NEW_ROLES.items() if role in roles]
        return list(dict.fromkeys([*self.evaluation.slices, *always]))

    @property
    def gated_slices(self) -> list[str]:
        """The slices that gates name, with their values."""
        return list(dict.fromkeys(gate.slice for gate in self.metric_gates if gate.slice is not None))

    @property
    def metric_gates(self) -> list[Gate]:
        """The gates on metrics of tasks."""
        return [] if self.gates == "none" else [gate for gate in self.gates if isinstance(gate, Gate)]

    @property
    def vector_gates(self) -> list[VectorGate]:
        """The gates on vectors."""
        return [] if self.gates == "none" else [gate for gate in self.gates if isinstance(gate, VectorGate)]

    @property
    def slice_columns(self) -> list[str]:
        """The columns that slices read."""
        features = dict.fromkeys(feature for name in self.slices for feature in features_of(name))
        return [name for name in features if name not in NEW_ROLES]

    def part(self, *sections: str) -> "Recipe":
        """The recipe with only these sections as written and the rest neutral: what one step depends on.

        Sources, roles, splits, the tasks' labels and what examples hold for their losses are always kept;
        `tasks` keeps their losses and calibration too, and what the latter is fitted by.
        """
        weighted = "tasks" in sections and bool(self.calibrated) and self.evaluation.weighted
        neutral: dict[str, Any] = {
            "description": "",
            "derived": {},
            "encoders": {},
            "content": Content(),
            "features": {},
            "spans": None,
            "dead": Dead(),
            "gates": "none",
            "model": Model.model_validate({"architecture": {"name": "hard_sharing"}}),
            "weighting": _NEUTRAL_WEIGHTING,
            "training": Training.model_validate({}),
            "evaluation": Evaluation(weighted=weighted),
            "serving": Serving(),
            "fuse": None,
            "tune": None,
            "beam": Beam(),
            "pipeline_root": None,
            "skew": None,
            "notify": None,
            "tasks": {name: _without_loss(task) for name, task in self.tasks.items()},
        }
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Recipe.model_construct(**fields | {k: v for k, v in neutral.items() if k not in sections})

    @cached_property
    def event_tasks(self) -> list[str]:
        """The tasks whose labels are made from events."""
        return [name for name, task in self.tasks.items() if task.events is not None]

    @cached_property
    def condition_types(self) -> dict[str, str]:
        """What a task's `where` and `weight` may read: columns, and binary tasks with labels from events."""
        return {n: "int" for n in self.event_tasks if self.tasks[n].kind == "binary"} | self.column_types

    def expression(self, text: str) -> Expression:
        """An expression over all columns, as labels and references use them."""
        return parse(text, self.column_types)

    def column_of(self, feature: str) -> str:
        """The column of rows that a feature reads; of vectors that the model holds, their key."""
        spec = self.features[feature]
        if spec.kind == "precomputed":
            return spec.on
        if spec.kind in KEYED:
            catalog = self.sources.catalogs.get(spec.catalog)
            return spec.catalog if catalog is None else catalog.on or catalog.key
        return spec.column or feature

    @property
    def vectors(self) -> list[str]:
        """The features that are vectors."""
        return [name for name, feature in self.features.items() if feature.kind in VECTORS]

    @property
    def keyed_vectors(self) -> list[str]:
        """The features whose vectors the model holds, by key."""
        return [name for name, feature in self.features.items() if feature.kind in KEYED]

    def list_length(self, feature: str) -> int:
        """How many values of a categorical feature the model takes: 1 of a column that is no list."""
        spec = self.features[feature]
        column = self.columns.get(self.column_of(feature))
        if column is None or not column.type.startswith("list["):
            return 1
        return spec.max_length or column.max_length

    def keeps_last(self, feature: str) -> bool:
        """Whether a categorical feature takes the last values of a longer list, not the first."""
        column = self.columns.get(self.column_of(feature))
        return column is not None and column.longer == "keep_last"


_OF_TRAINING = ("loss", "loss_weight", "gamma", "list_share", "duration_groups", "calibration")


def _without_loss(task: Task) -> Task:
    """A task as it is to steps before training: a loss is kept only where examples hold an input for it."""
    fields = type(task).model_fields
    neutral = {n: fields[n].default for n in _OF_TRAINING if n in fields}
    if task.loss in SIDE_INPUTS:
        del neutral["loss"]
    return task.model_copy(update=neutral)
