"""The Trainer's run function: transformed examples → a trained model → the SavedModel."""

import contextlib
import gc
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_models import (
    Checkpoint,
    EpochRecorder,
    MultiTaskModel,
    Objective,
    array_batches,
    make_means,
    quantile_bins,
)
from mtl_models.training import distributed
from mtl_models.training.array_batches import ITERATORS_PER_EPOCH
from mtl_models.training.warm_start import grow, keep_optimizers
from pipeline import distribution, progress
from pipeline.calibration import calibrate_on
from pipeline.recipe import Recipe, constructors
from pipeline.recipe.model import Training
from pipeline.recipe.space import with_values
from pipeline.shards.columns import read_columns
from pipeline.trained_tasks import task_of
from pipeline.trainer_files import HISTORY
from pipeline.tuned import decoded
from pipeline.vectors import read_matrices

_REPAY_COMPILING = 4000  # steps
_REPAY_REWRITING = 1000  # steps
_NEW_OBJECTS = 100_000  # some 10 MB
_GRADIENT_ROWS = 1024, 4096  # at least and at most
_GRADIENT_SHARE = 16  # of training's rows one in so many: a row's cost there is that of two in training


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Keeps Python's garbage collector from what is there already, and from looking often: graphs are made of
    so many small objects that it would go through all of TensorFlow's and TFX's again and again."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _as_traced() -> Iterator[None]:
    """Has TensorFlow run functions as they were traced, without rewriting their graphs first: that takes as
    long as some steps, and makes each faster by next to nothing."""
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


@_few_collections()
def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer; `custom_config` holds the recipe as JSON."""
    # here alone: `mtl train` reads and fits without TFX's libraries
    import tensorflow_transform as tft

    from pipeline import vocabulary
    from pipeline.held_catalogs import read_catalogs
    from serving.export import export

    recipe = Recipe.model_validate_json(fn_args.custom_config["recipe"])
    if fn_args.hyperparameters:  # of the Tuner's best trial
        recipe = with_values(recipe, decoded(fn_args.hyperparameters["values"]))
    # names of layers are counted from here, or another run in this process would name its variables otherwise
    keras.backend.clear_session(free_memory=False)  # without going through all that TFX has imported
    keras.utils.set_random_seed(recipe.training.seed)
    tft_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    layout = vocabulary.read_layout(fn_args.transform_graph_path)
    train = read_arrays(fn_args.train_files, layout, recipe)
    validation = read_arrays(fn_args.eval_files, layout, recipe)
    held = held_vectors(fn_args.transform_graph_path, layout)
    base = fn_args.custom_config.get("base")
    keep = fn_args.custom_config.get("keep_optimizer", False)
    run_dir = Path(fn_args.model_run_dir)
    model, history = fit(
        recipe, layout, train, validation, run_dir, vectors=held, base=base, keep_optimizer=keep
    )
    export(
        model,
        tft_output.transform_features_layer(),
        recipe,
        fn_args.serving_model_dir,
        read_catalogs(fn_args.transform_graph_path, recipe),
    )
    Path(fn_args.model_run_dir).mkdir(parents=True, exist_ok=True)
    Path(fn_args.model_run_dir, HISTORY).write_text(json.dumps(history, indent=1))
    model.save(Path(fn_args.model_run_dir, "model.keras"))


def read_arrays(patterns: list[str], layout: Any, recipe: Recipe) -> tuple[dict, dict, dict, dict]:
    """All rows of transformed examples as arrays: inputs, labels, weights and masks."""
    widths = {f"{t}/{p}": 0 for t in recipe.tasks for p in ("label", "mask", "weight")}
    if layout.categorical:
        widths["ids"] = layout.id_slots
    if layout.numbers:
        widths["numbers"] = len(layout.numbers)
    widths |= {vector.key: 0 if vector.rows else vector.dim for vector in layout.vectors}
    widths |= {name: 0 for name in layout.side}
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    columns = read_columns(files, widths)
    parts = [{t: columns[f"{t}/{part}"] for t in recipe.tasks} for part in ("label", "weight", "mask")]
    return {n: v for n, v in columns.items() if "/" not in n}, *parts


def held_vectors(graph: str | Path, layout: Any) -> dict[str, np.ndarray]:
    """The vectors that a layout's model holds, from beside the transform graph."""
    return read_matrices(graph, [vector.name for vector in layout.vectors if vector.rows])


def build(
    recipe: Recipe,
    layout: Any,
    labels: dict,
    weights: dict,
    durations: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
) -> MultiTaskModel:
    """The model of a recipe, with outputs that begin at the labels' base rate or mean, and the vectors that it
    holds."""
    bins = None
    if recipe.model.numeric_embedding == "piecewise_linear" and numbers is not None:
        bins = quantile_bins(numbers, recipe.model.numeric_bins)
    model = MultiTaskModel(
        layout,
        [task_of(recipe, name, labels[name], weights[name], durations) for name in recipe.tasks],
        architecture=_part("architectures", recipe.model.architecture),
        weighting=_part("weighting", recipe.weighting),
        seed=recipe.training.seed,
        numeric_bins=bins,
        dtype=precision(recipe),
        **recipe.model.settings(),
    )
    for name, matrix in (vectors or {}).items():
        model.feature_inputs.hold(name, matrix)
    return model


def precision(recipe: Recipe) -> str:
    """The dtype policy that training runs under here: without a GPU 16 bits would only be slower."""
    return recipe.training.precision if tf.config.list_physical_devices("GPU") else "float32"


def fit(
    recipe: Recipe,
    layout: Any,
    train: tuple,
    validation: tuple,
    logs: Path,
    checkpoint: tuple[Path, str] | None = None,
    show: Callable[[dict], None] | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    base: str | Path | None = None,
    keep_optimizer: bool = False,
) -> tuple[MultiTaskModel, dict] | None:
    """Trains, keeps the epoch that is best on validation, calibrates, and says how it went.

    Args:
      recipe: what to train.
      layout: of the inputs.
      train, validation: as `read_arrays` gives them.
      logs: where TensorBoard's files go.
      checkpoint: a folder, and what is trained there as text: training that was stopped goes on from it.
      vectors: those that the model holds, by feature (see `held_vectors`).
      show: told how far it is (see `EpochRecorder`); None tells the pipeline's step.
      strategy: of several workers, all of which call this; None: what the recipe asks of this process.
      base: the file of a model to begin from, whose inputs this layout has grown from; None begins anew.
      keep_optimizer: whether to go on with its optimizers' state too.

    Returns:
      On a worker that is not the chief None, once the chief has trained. Else
      the model of the best epoch, in float32, and its history: `epochs` as `EpochRecorder` has them, before
      calibration, `best_epoch`, `steps` an epoch, `precision`, `kept_optimizer`, `objective` in words, and
      `calibration` (see `calibrate_on`).
    """
    settings = recipe.training
    inputs, labels, weights, _ = train
    strategy = strategy or distribution.of_this_process(settings.distribution)
    is_chief = strategy is None or distributed.is_chief(strategy)
    groups = _requests(inputs)
    batches = array_batches((inputs, labels, weights), settings.batch_size, settings.seed, groups=groups)
    steps = int(batches.cardinality())
    with strategy.scope() if strategy else contextlib.nullcontext():
        earlier = keras.models.load_model(base, compile=keep_optimizer) if base else None
        if earlier is None:
            durations, numbers = inputs.get("duration"), inputs.get("numbers")
            model = build(recipe, layout, labels, weights, durations, numbers, vectors)
        else:
            model = grow(earlier, layout, vectors or {}, precision(recipe))
        model.compile(
            optimizer=_dense_optimizer(recipe, steps),
            embedding_optimizer=_embedding_optimizer(recipe, steps),
            clip_norm=settings.clip_norm,
            # batches of whole requests differ in size, and XLA would compile for each
            jit_compile=_is_compiled(settings, steps) and groups is None and strategy is None,
            steps_per_execution=min(settings.steps_per_execution, steps),
        )
        kept = keep_optimizer and earlier is not None and keep_optimizers(earlier, model)
    recorder = EpochRecorder(
        (validation[0], validation[1], validation[3]),
        objective=Objective(settings.stopping.objective or {name: 1.0 for name in recipe.tasks}),
        patience=settings.stopping.patience,
        gradient_rows=int(np.clip(len(next(iter(inputs.values()))) // _GRADIENT_SHARE, *_GRADIENT_ROWS)),
        progress_steps=settings.steps_per_execution,
        on_progress=show or (lambda at: _show(at, settings.epochs)),
    )
    callbacks, done, kept_on_disk = [recorder], 0, None
    if checkpoint is not None:
        kept_on_disk = Checkpoint(checkpoint[0], recorder, checkpoint[1])
        callbacks.append(kept_on_disk)
        done = kept_on_disk.restore(model) if is_chief else 0
    stopped = done and done - recorder.best_epoch >= settings.stopping.patience
    until = done if stopped else settings.epochs
    if strategy is not None:
        done, until = (distributed.of_chief(strategy, number) for number in (done, until))
    if done:
        batches = array_batches(
            (inputs, labels, weights),
            settings.batch_size,
            settings.seed,
            groups=groups,
            skip_iterators=ITERATORS_PER_EPOCH * done,
        )
    callbacks.append(keras.callbacks.TensorBoard(str(logs / "tensorboard"), write_graph=False))
    short = settings.epochs * steps < _REPAY_REWRITING and strategy is None
    try:
        with _as_traced() if short else contextlib.nullcontext():
            model.fit(
                batches,
                epochs=until,
                initial_epoch=done,
                verbose=0,
                shuffle=False,  # the batches come shuffled
                callbacks=callbacks,
            )
    except KeyboardInterrupt:
        if kept_on_disk is not None and is_chief and not recorder.history:
            kept_on_disk.save_model()  # of a first epoch that takes hours something is left
        raise
    if not is_chief:
        return None
    used_precision = model.dtype_policy.name
    if used_precision != "float32" or strategy is not None:
        model = _in_float32(model)
    make_means(model, validation[0], validation[1], validation[3])
    calibration = calibrate_on(recipe, model, validation)
    objective = recorder.objective
    used = ", ".join(
        f"{w:g} × {n} ({objective.metric(t)})"
        for t in model.tasks
        for n, w in objective.weights.items()
        if n == t.name
    )
    epochs, best = list(recorder.history), recorder.best_epoch - 1
    problems = [c["problem"] for c in calibration.values() if c["problem"]]
    epochs[best] = {**epochs[best], "alarms": [*epochs[best]["alarms"], *problems]}
    return model, {
        "epochs": epochs,
        "best_epoch": recorder.best_epoch,
        "steps": steps,
        "precision": used_precision,
        "kept_optimizer": kept,
        "objective": "the epoch with the greatest mean gain over the best constant prediction on validation: "
        + used,
        "calibration": calibration,
    }


def _requests(inputs: dict) -> np.ndarray | None:
    """The groups that batches keep whole: requests; a row of no known request is one of its own."""
    if "request" not in inputs:
        return None
    request = inputs["request"].reshape(-1)
    return np.where(request < 0, -1 - np.arange(len(request)), request)


def _is_compiled(settings: Training, steps: int) -> bool:
    if settings.jit_compile is None:
        return settings.epochs * steps >= _REPAY_COMPILING
    return settings.jit_compile


def _in_float32(model: MultiTaskModel) -> MultiTaskModel:
    """The same model for validation and serving, on one device: in 16 bits answers depend on their batch."""
    exact = MultiTaskModel.from_config({**model.get_config(), "dtype": "float32"})
    for variable, trained in zip(exact.weights, model.weights, strict=True):
        variable.assign(trained)
    exact.compile_from_config({**model.get_compile_config(), "optimizer": "adam"})
    return exact


def _part(folder: str, part: Any, **instead: Any) -> Any:
    """Builds a part of `mtl_models`, or a class from elsewhere, from its place in the recipe.

    What is in `instead` takes the place of the recipe's setting of that name.
    """
    if ":" in part.name:
        path, settings = part.name, part.settings
    else:
        path, settings = constructors.part_class(folder, part.name), part.model_dump(exclude={"name"})
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)(**{**settings, **instead})


def _dense_optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    dense = recipe.training.optimizer.dense
    kinds = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "adagrad": "Adagrad"}
    extra = {} if dense.weight_decay is None else {"weight_decay": dense.weight_decay}
    rate = _rate(recipe, dense.learning_rate, steps_per_epoch)
    return getattr(keras.optimizers, kinds[dense.name])(learning_rate=rate, **extra)


def _embedding_optimizer(recipe: Recipe, steps_per_epoch: int) -> Any:
    part = recipe.training.optimizer.embedding
    if ":" in part.name:
        return _part("optimizers", part)
    return _part("optimizers", part, learning_rate=_rate(recipe, part.learning_rate, steps_per_epoch))


def _rate(recipe: Recipe, rate: float, steps_per_epoch: int) -> Any:
    """The recipe's schedule at this rate: a number, or a function of the step."""
    schedule = recipe.training.schedule
    if schedule.name == "cosine":
        total = max(1, recipe.training.epochs * steps_per_epoch - schedule.warmup_steps)
        if schedule.warmup_steps:
            return keras.optimizers.schedules.CosineDecay(
                0.0, total, warmup_target=rate, warmup_steps=schedule.warmup_steps
            )
        return keras.optimizers.schedules.CosineDecay(rate, total)
    if schedule.warmup_steps:
        return keras.optimizers.schedules.PolynomialDecay(0.0, schedule.warmup_steps, end_learning_rate=rate)
    return rate


def _show(at: dict, epochs: int) -> None:
    done = at["step"] / at["steps"] if at["steps"] else 0.0
    text = f"epoch {at['epoch']} of at most {epochs}, loss {at['loss']:.4f}"
    progress.tell(text, min(1.0, (at["epoch"] - 1 + done) / epochs))
