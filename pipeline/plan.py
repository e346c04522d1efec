"""What a run will do, decided before TFX is imported: inputs, baseline, digests.

Everything that can change a run's outcome is here as a digest, so that an unchanged run is known
without running it.
"""

import datetime
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline import digests
from pipeline.ingest.files import source_digest
from pipeline.private import key_id
from pipeline.recipe import Recipe, constructors
from pipeline.recipe.schema_file import schema_path
from pipeline.recipe.searches import Range
from pipeline.recipe.space import with_values
from pipeline.spans.resolve import SpanRun, resolve
from pipeline.vector_tables import vector_tables
from pipeline.vectors import Table
from pipeline.warm_start import Base, Beginning, beginning
from serving import versions

# says nothing of the model or its verdict
_ELSEWHERE = {"description", "beam", "pipeline_root", "fuse", "notify"}


@dataclass(frozen=True)
class Plan:
    """A recipe, its data and its place, with the digests that steps are cached by."""

    recipe: Recipe
    input_dir: Path
    home: Path  # OUTPUT/<name>
    run: str
    content: str  # digest of the input files
    schema: str  # text of the schema
    baseline: Path | None  # the version that serves
    started: str  # ISO 8601, UTC
    tables: dict[str, Table] = field(default_factory=dict)  # of the vectors that the model holds
    span: SpanRun | None = None  # that this run is of; without, it is of all there is
    beginning: Beginning | None = None  # None where the recipe asks for no warm start
    finishes: Path | None = None  # the version that a killed run pushed, and this run reports

    @property
    def run_dir(self) -> Path:
        return self.home / "runs" / self.run

    @property
    def serving_dir(self) -> Path:
        return self.home / "serving"

    def trainer_code(self) -> str:
        return digests.text_digest(*(trainer_code(recipe) for recipe in tried_recipes(self.recipe)))

    def transform_code(self) -> str:
        own = [f.transform.partition(":")[0] for f in self.recipe.features.values() if f.kind == "custom"]
        return digests.code_digest("pipeline.preprocessing", "pipeline.components.transform", *own)

    def fingerprint(self) -> str:
        """Digest of everything the model and its verdict are made of, the baseline apart, and the model that
        training begins from: once this run's own serves, the same run again is still the same."""
        code = digests.code_digest("pipeline.pipeline", "serving.standalone")
        recipe = json.loads(self.recipe.model_dump_json(exclude=_ELSEWHERE))
        return digests.text_digest(
            json.dumps(recipe, sort_keys=True),
            self.content,
            json.dumps({name: table.digest for name, table in self.tables.items()}),
            self.schema,
            code,
            self.transform_code(),
            self.trainer_code(),
        )

    def as_json(self) -> str:
        """For a step elsewhere that ends this run, once its spans are ingested: without tables, which only its
        fingerprint needs."""
        told = {name: str(getattr(self, name)) for name in ("input_dir", "home")}
        told |= {name: getattr(self, name) for name in ("run", "content", "schema", "started")}
        base = self.beginning and self.beginning.base
        return json.dumps(
            told
            | {
                "recipe": self.recipe.model_dump_json(),
                "baseline": self.baseline and str(self.baseline),
                "span": self.span and asdict(replace(self.span, ingestions=())),
                "beginning": self.beginning and asdict(replace(self.beginning, base=None)),
                "base": base and asdict(base) | {"folder": str(base.folder)},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The reverse of `as_json`."""
        told = json.loads(text)
        base, begins, span = told.pop("base"), told["beginning"], told["span"]
        base = base and Base(**base | {"folder": Path(base["folder"])})
        lists = ("ingestions", "window", "left_out", "lost")
        return cls(
            **told
            | {name: Path(told[name]) for name in ("input_dir", "home")}
            | {
                "recipe": Recipe.model_validate_json(told["recipe"]),
                "baseline": told["baseline"] and Path(told["baseline"]),
                "span": span and SpanRun(**span | {name: tuple(span[name]) for name in lists}),
                "beginning": begins and Beginning(**begins | {"base": base}),
            }
        )

    def is_unchanged(self) -> bool:
        """Whether the version that serves was made from exactly this."""
        return (
            self.baseline is not None
            and versions.record(self.baseline).get("fingerprint") == self.fingerprint()
        )


def tried_recipes(recipe: Recipe) -> list[Recipe]:
    """The recipe, and it with each part of `mtl_models` that a search may choose instead."""
    found = [recipe]
    for path, values in (recipe.tune.space if recipe.tune else {}).items():
        choices = [] if isinstance(values, Range) else values
        named = [v for v in choices if isinstance(v, dict) or path.endswith(".name")]
        found += [with_values(recipe, {path: value}) for value in named]
    return found


def trainer_code(recipe: Recipe) -> str:
    """Digest of the code that trains a recipe: of parts only those that it names."""
    parts = [
        ("architectures", recipe.model.architecture),
        ("weighting", recipe.weighting),
        ("optimizers", recipe.training.optimizer.embedding),
    ]
    modules = [
        (p.name if ":" in p.name else constructors.part_class(folder, p.name)).partition(":")[0]
        for folder, p in parts
    ]
    return digests.code_digest("pipeline.trainer", *modules)


def make_plan(
    recipe: Recipe,
    recipe_file: Path,
    input_dir: Path,
    output: Path,
    run: str,
    span: str = "",
    progress: Callable[[str, float | None], None] | None = None,
) -> Plan:
    """Looks at the inputs and at what serves, and encodes content that has no vector yet, telling `progress`.
    `span` is the name of the one to run, if it is one.

    Raises:
      BadSpan: `span` is no name.
      RecipeError: there is no key for its private columns.
      DataError: an input is not there, or too much content fails.
      ValueError: the serving folder's pointer is broken.
    """
    home = output.resolve() / recipe.name
    key = key_id(recipe, recipe_file)  # with another key, everything is made anew
    of_span = resolve(recipe, key, input_dir.resolve(), home, span) if span else None
    if of_span is None:
        digest = source_digest(recipe, input_dir)
        if key:
            digest["private key"] = key
        content = digests.text_digest(json.dumps(digest, sort_keys=True))
    else:
        content = of_span.content
    schema_file = schema_path(recipe_file)
    plan = Plan(
        recipe=recipe,
        input_dir=input_dir.resolve(),
        home=home,
        run=run,
        content=content,
        schema=schema_file.read_text() if schema_file.is_file() else "",
        baseline=versions.current(home / "serving"),
        tables=vector_tables(recipe, input_dir.resolve(), home, progress),
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        span=of_span,
    )
    begins = beginning(recipe, home, plan.baseline, of_span, plan.fingerprint(), plan.tables)
    return replace(plan, beginning=begins)
