"""The pipeline: read top to bottom, it is the story of a run.

Nothing here imports `tfx.v1`: it imports google.cloud.aiplatform, a third of the time until a run starts.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from google.protobuf import text_format
from tfx.components import ExampleValidator, Trainer, Tuner
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2
from tfx.types.channel import BaseChannel
from tfx.types.channel_utils import union
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from pipeline import digests
from pipeline.artifact_root import FOLDER
from pipeline.components.data_gate import DataGate
from pipeline.components.drift_gate import DriftGate
from pipeline.components.evaluation import Evaluate
from pipeline.components.gate import Gate
from pipeline.components.ingestion import SPLITS, Ingest
from pipeline.components.push import Push
from pipeline.components.serving_check import ServingCheck
from pipeline.components.skew_gate import SkewGate
from pipeline.components.span_kept import KeepSpan
from pipeline.components.staleness import Staleness
from pipeline.components.statistics import StatisticsGen
from pipeline.components.transform import Transform
from pipeline.components.vectors import HoldVectors
from pipeline.components.vocabularies import BuildVocabularies
from pipeline.components.watch import WatchVectors
from pipeline.components.window import Window
from pipeline.drift.requests import request_files
from pipeline.ingest.part import ingested_part
from pipeline.ingest.schema import schema_proto
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.recipe.dump import resolved
from pipeline.recipe.parts import Serving
from pipeline.span_run import exposed, favoured, judged, not_compared
from pipeline.spans.calendar import Calendar
from pipeline.spans.judged import Judged
from pipeline.spans.resolve import Ingestion
from pipeline.spans.store import SpanStore
from pipeline.spans.window import closed_split
from pipeline.staleness import measured_spans
from pipeline.trainer_files import STATISTICS
from pipeline.warm_start import training_settings


def create_pipeline(
    plan: Plan, enable_cache: bool = True, last: Callable[[Plan, list[BaseNode]], BaseNode] | None = None
) -> Pipeline:
    """The steps of a run, each with the part of the recipe and the digest of the code it depends on; `last` makes
    one more, of these."""
    recipe, code = plan.recipe, digests.code_digest

    vectors = None
    if plan.tables:
        vectors = HoldVectors(
            tables=json.dumps({name: asdict(table) for name, table in plan.tables.items()}),
            code=code("pipeline.components.vectors"),
        )
    held = {"vectors": vectors.outputs["vectors"]} if vectors else {}

    baseline = {
        "baseline": str(plan.baseline or ""),
        "baseline_content": digests.folder_digest(plan.baseline) if plan.baseline else "",
    }
    at = judged(plan) if plan.span else {}
    read = _window(plan, held, at, baseline) if plan.span else _whole(plan)
    examples, schema = read["examples"], read["schema"]
    columns = recipe.part("features", "derived").model_dump_json()
    base = plan.beginning.base if plan.beginning else None
    kept = base and json.loads((base.part("transform_graph") / STATISTICS).read_text())
    vocabularies = BuildVocabularies(
        examples=examples,
        **({"gate": read["gate"]} if "gate" in read else {}),
        recipe=columns,
        base=str(base.part("vocabularies")) if base else "",
        base_content=base.content if base else "",
        code=code("pipeline.components.vocabularies"),
        **held,
    )
    transform = Transform(
        examples=examples,
        schema=schema,
        vocabularies=vocabularies.outputs["vocabularies"],
        splits=SPLITS[:2],
        preprocessing_fn="pipeline.preprocessing.preprocessing_fn",
        custom_config={"recipe": columns, "code": plan.transform_code()}
        | ({"keep_statistics": True} if plan.beginning else {})
        | ({"statistics": kept} if base else {}),
    )

    tuner = _tuner(plan, transform) if recipe.tune else None
    trainer = Trainer(
        run_fn="pipeline.trainer.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=trainer_pb2.TrainArgs(splits=[SPLITS[0]]),
        eval_args=trainer_pb2.EvalArgs(splits=[SPLITS[1]]),
        hyperparameters=tuner and tuner.outputs["best_hyperparameters"],
        custom_config={
            "recipe": _trained(plan).model_dump_json(),
            "code": plan.trainer_code(),
        }
        | (
            {
                "base": str(base.part("model_run") / "model.keras"),
                "base_content": base.content,
                "keep_optimizer": recipe.training.warm_start.keep_optimizer,
            }
            if base
            else {}
        ),
    )
    model = trainer.outputs["model"]

    measured = recipe.part("features", "derived", "evaluation").model_dump_json()
    evaluate = Evaluate(
        examples=examples,
        model=model,
        recipe=measured,
        named_slices=json.dumps(sorted(recipe.gated_slices)),
        elsewhere=json.dumps(_elsewhere(plan, at)),
        span=plan.span.name if plan.span else "",
        code=code("pipeline.components.evaluation"),
        **baseline,
    )
    stale = _staleness(plan, at, examples, model, measured) if plan.span else None
    watch = None
    if recipe.vectors:
        watch = WatchVectors(
            examples=examples,
            recipe=recipe.part("features").model_dump_json(),
            input_dir=str(plan.input_dir),
            code=code("pipeline.components.watch"),
            **baseline,
            **held,
        )
    watched = {"watched": watch.outputs["watched"]} if watch else {}
    check = ServingCheck(
        examples=examples,
        model=model,
        recipe=recipe.part("features", "derived", "serving").model_dump_json(),
        code=code("pipeline.components.serving_check", "serving.standalone"),
    )
    skew = _skew_gate(plan, read["statistics"]) if recipe.skew else None
    gate = Gate(
        evaluation=evaluate.outputs["evaluation"],
        check=check.outputs["verdict"],
        **({"drift": read["drift"]} if "drift" in read else {}),
        **({"skew": skew.outputs["verdict"]} if skew else {}),
        gates="none" if recipe.gates == "none" else json.dumps([g.model_dump() for g in recipe.metric_gates]),
        vector_gates=json.dumps([g.model_dump() for g in recipe.vector_gates]),
        serving=plan.baseline.name if plan.baseline else "",
        waiting=json.dumps({task: of.why for task, of in at.items() if of.why}),
        code=code("pipeline.components.gate"),
        **watched,
    )
    push = Push(
        model=model,
        blessing=gate.outputs["blessing"],
        folder=str(plan.serving_dir),
        run=plan.run,
        baseline=plan.baseline.name if plan.baseline else "",
        **watched,
        note=json.dumps(
            {"fingerprint": plan.fingerprint(), "recipe": digests.text_digest(resolved(plan.recipe))}
            | ({"span": plan.span.name} if plan.span else {})
            | ({"unseen": {task: of.unseen for task, of in at.items()}} if plan.span else {})
            | ({"warm_start": plan.beginning.facts()} if plan.beginning else {})
        ),
    )

    steps = [
        *([vectors] if vectors else []),
        *read["steps"],
        vocabularies,
        transform,
        *([tuner] if tuner else []),
        trainer,
        evaluate,
        *([stale] if stale else []),
        *([watch] if watch else []),
        check,
        *([skew] if skew else []),
        gate,
        push,
    ]
    return _pipeline(plan, [*steps, *([last(plan, steps)] if last else [])], enable_cache)


def _staleness(
    plan: Plan, at: dict[str, Judged], examples: BaseChannel, model: BaseChannel, recipe: str
) -> Staleness | None:
    """None where there is nothing older to measure, or no task has an AUC."""
    store, calendar = SpanStore(plan.home), Calendar.of(plan.recipe.spans)
    judged_on = {task: of.span for task, of in at.items() if plan.recipe.tasks[task].kind == "binary"}
    found = measured_spans(plan.serving_dir, calendar, plan.span.name, judged_on)
    for of in found:
        own = of["span"] == plan.span.name
        of["split"] = SPLITS[2] if own else closed_split(calendar.number(of["span"]))
        of["total"] = store.newest(of["span"]).rows
    if not found:
        return None
    return Staleness(
        examples=examples,
        model=model,
        recipe=recipe,
        span=plan.span.name,
        measured=json.dumps(found),
        code=digests.code_digest("pipeline.components.staleness"),
    )


def _trained(plan: Plan) -> Recipe:
    """What training depends on of the recipe."""
    recipe = plan.recipe
    part = recipe.part("features", "derived", "tasks", "model", "weighting", "training")
    serving = Serving(score=recipe.serving.score, fusion=recipe.serving.fusion)
    training = training_settings(recipe.training, plan.beginning)
    return part.model_copy(update={"serving": serving, "training": training})


def create_ingestion(plan: Plan, span: Ingestion, enable_cache: bool = True, keep: bool = False) -> Pipeline:
    """The steps that make a version of one span: it is read, counted, and held against the schema. Their
    names end in the span's. With `keep`, the last one remembers it, as no run waits for the others."""
    read = _read(
        plan,
        span.recipe,
        span.content,
        {"number": span.number, "version": span.version, "rows": span.rows.as_json()},
        span.name,
    )
    steps = read["steps"]
    if keep:
        steps.append(
            KeepSpan(
                examples=read["examples"],
                statistics=read["statistics"],
                gate=read["gate"],
                home=str(plan.home),
                span=span.name,
                told=json.dumps(span.told(plan.run)),
            )
        )
    for step in steps:
        step.with_id(f"{step.id}.{span.name}")
    return _pipeline(plan, steps, enable_cache)


def _whole(plan: Plan) -> dict[str, Any]:
    return _read(plan, ingested_part(plan.recipe), plan.content, {}, "")


def _read(plan: Plan, part: Recipe, content: str, span: dict[str, Any], name: str) -> dict[str, Any]:
    """From the sources to examples that keep to the schema: `steps`, and the channels `examples`, `schema`,
    `statistics` and `gate`."""
    code = digests.code_digest
    ingest = Ingest(
        recipe=part.model_dump_json(),
        input_dir=str(plan.input_dir),
        content=content,
        code=code("pipeline.components.ingestion"),
        dead_dir=str(plan.home / "dead"),
        span=json.dumps(span) if span else "",
    )
    examples = ingest.outputs["examples"]
    statistics = StatisticsGen(
        examples=examples, columns=schema_proto(plan.recipe), code=code("pipeline.components.statistics")
    )
    schema = ImportSchemaGen(schema_file=_schema_file(plan))
    anomalies = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    gate = DataGate(
        anomalies=anomalies.outputs["anomalies"], code=code("pipeline.components.data_gate"), span=name
    )
    return {
        "steps": [ingest, statistics, schema, anomalies, gate],
        "examples": examples,
        "schema": schema.outputs["schema"],
        "statistics": statistics.outputs["statistics"],
        "gate": gate.outputs["verdict"],
    }


def _elsewhere(plan: Plan, at: dict[str, Judged]) -> list[dict[str, Any]]:
    """The `Elsewhere`s of the tasks that are judged on an earlier span than the run's own."""
    if plan.span is None:
        return []
    why, favours, seen = not_compared(plan, at), favoured(plan, at), exposed(plan.span.name, at)
    found: dict[str, list[str]] = {}
    for task, of in at.items():
        if of.span not in ("", plan.span.name):
            found.setdefault(of.span, []).append(task)
    return [
        {
            "split": closed_split(Calendar.of(plan.recipe.spans).number(span)),
            "span": span,
            "tasks": tasks,
            "not_compared": {task: why[task] for task in tasks if task in why},
            "favoured": {task: favours[task] for task in tasks if task in favours},
            "exposed": [task for task in tasks if task in seen],
        }
        for span, tasks in sorted(found.items())
    ]


def _window(
    plan: Plan, held: dict[str, BaseChannel], at: dict[str, Judged], baseline: dict[str, str]
) -> dict[str, Any]:
    """The spans that are trained on and the one that is evaluated, which have kept to the schema by
    themselves. Which these are, and which task is judged on which, is known before the pipeline is made, so
    that any orchestrator can run it."""
    base = plan.beginning.base if plan.beginning else None
    store, spans, found = SpanStore(plan.home), [], {"examples": [], "statistics": []}
    calendar = Calendar.of(plan.recipe.spans)
    for name in (*plan.span.window, plan.span.name):
        version = store.newest(name)
        for kind, of in (("examples", Examples), ("statistics", ExampleStatistics)):
            uri = str(plan.home / getattr(version, kind))
            # said again, as an orchestrator with metadata of its own has not seen the span made
            number = {"span": calendar.number(name)}
            imported = Importer(source_uri=uri, artifact_type=of, properties=number)
            spans.append(imported.with_id(f"{kind.title()}.{name}"))
            found[kind].append(spans[-1].outputs["result"])
    schema = ImportSchemaGen(schema_file=_schema_file(plan))
    window = Window(
        spans=union(found["examples"]),
        span_statistics=union(found["statistics"]),
        evaluated=plan.span.number,
        base=calendar.number(base.span) if base else 0,
        held=json.dumps(
            {task: calendar.number(of.unseen) for task, of in at.items() if of.unseen != plan.span.name}
        ),
        code=digests.code_digest("pipeline.components.window"),
    )
    made = {
        "steps": [*spans, window, schema],
        "examples": window.outputs["examples"],
        "statistics": window.outputs["statistics"],
        "schema": schema.outputs["schema"],
    }
    if plan.recipe.spans.drift is not None:
        gate = _drift_gate(plan, at, found, held, baseline if held else dict.fromkeys(baseline, ""))
        made["steps"].append(gate)
        made["drift"] = gate.outputs["verdict"]
    return made


def _drift_gate(
    plan: Plan,
    at: dict[str, Judged],
    found: dict[str, list[BaseChannel]],
    held: dict[str, BaseChannel],
    baseline: dict[str, str],
) -> DriftGate:
    recipe, calendar = plan.recipe, Calendar.of(plan.recipe.spans)
    store = SpanStore(plan.home)
    names = [(n, store.drifted(n)) for n in plan.span.window] + [(plan.span.name, False)]
    means = {"binary": "rate", "regression": "mean"}
    # a label of which more may come with every day is another one on each
    told = {n: t for n, t in recipe.tasks.items() if not (t.events and t.events.open == "negative")}
    labels = {n: means[t.kind] for n, t in told.items() if at[n].span and t.kind in means}
    return DriftGate(
        spans=union(found["examples"]),
        span_statistics=union(found["statistics"]),
        names=json.dumps([(calendar.number(name), name, drifted) for name, drifted in names]),
        columns=json.dumps(list(dict.fromkeys([*_still(recipe), *recipe.spans.drift.columns]))),
        labels=json.dumps(labels),
        labelled=json.dumps([n for n, t in recipe.tasks.items() if t.events is None and t.where is None]),
        late=json.dumps({n: at[n].span for n in labels if at[n].span != plan.span.name}),
        recipe=recipe.part("features").model_dump_json(),
        bounds=recipe.spans.drift.model_dump_json(),
        code=digests.code_digest("pipeline.components.drift_gate"),
        **baseline,
        **held,
    )


def _skew_gate(plan: Plan, statistics: BaseChannel) -> SkewGate:
    recipe, span = plan.recipe, ""
    if plan.span:
        calendar, number = Calendar.of(recipe.spans), plan.span.number
        span = json.dumps([plan.span.name, calendar.start(number), calendar.start(number + 1)])
    # where an item stands is not known before it is ranked, and what went before is later than in training
    left_out = {recipe.roles.position, *recipe.history}
    columns = [n for n in _still(recipe) if n in recipe.request_columns and n not in left_out]
    files = request_files(recipe.skew.requests, plan.input_dir)
    return SkewGate(
        statistics=statistics,
        recipe=recipe.part("features").model_dump_json(),
        skew=recipe.skew.model_dump_json(),
        columns=json.dumps(list(dict.fromkeys([*columns, *recipe.skew.columns]))),
        input_dir=str(plan.input_dir),
        # each is written whole and never again
        files=digests.text_digest(*(f"{path} {path.stat().st_size}" for path in files)),
        span=span,
        code=digests.code_digest("pipeline.components.skew_gate"),
    )


def _still(recipe: Recipe) -> list[str]:
    """The columns whose values have no reason to move: what is counted of earlier rows grows with the log, and
    times move by nature. Lists of earlier values do not."""
    counted = {name for name, earlier in recipe.history.items() if earlier.kind != "last"}
    return [
        name
        for name, column in recipe.input_columns.items()
        if name not in counted and column.type not in ("time", "date", "vector")
    ]


def _pipeline(plan: Plan, steps: list[BaseNode], enable_cache: bool) -> Pipeline:
    return Pipeline(
        pipeline_name=plan.recipe.name,
        pipeline_root=str(plan.home / FOLDER),
        components=steps,
        metadata_connection_config=sqlite_metadata_connection_config(str(plan.home / "metadata.sqlite")),
        enable_cache=enable_cache,
        beam_pipeline_args=plan.recipe.beam.arguments(),
    )


def _tuner(plan: Plan, transform: Transform) -> Tuner:
    parts = ("features", "derived", "tasks", "model", "weighting", "training", "tune")
    return Tuner(
        tuner_fn="pipeline.tuner.tuner_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=trainer_pb2.TrainArgs(splits=[SPLITS[0]]),
        eval_args=trainer_pb2.EvalArgs(splits=[SPLITS[1]]),
        custom_config={
            "recipe": plan.recipe.part(*parts).model_dump_json(),
            "code": plan.trainer_code() + digests.code_digest("pipeline.tuner"),
            "folder": str(plan.home / "tune"),
        },
    )


def _schema_file(plan: Plan) -> str:
    # TFX's cache knows ImportSchemaGen's path and not what stands there: the path names the content
    text = plan.schema or text_format.MessageToString(schema_proto(plan.recipe))
    path = plan.home / "schemas" / digests.text_digest(text) / "schema.pbtxt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)
