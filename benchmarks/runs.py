"""What the benchmarks on real data share: runs of a recipe over seeds, and its rows for other libraries."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy import stats

from pipeline import trainer, vocabulary
from pipeline.examples import record_batches, serialized_batches, single_values
from pipeline.ingest import numpy_operations
from pipeline.recipe import Recipe

RECIPES = Path(__file__).resolve().parents[1] / "data"


def run(name: str, seed: int, data: Path, output: Path, *settings: str) -> dict:
    """metrics.json of one run of `data/<name>/recipe.yaml`; steps before training come from the cache.

    Args:
      name: the recipe's.
      seed: of training.
      data: the input folder.
      output: the output folder.
      settings: of the recipe, `key=value`.
    """
    recipe = str(RECIPES / name / "recipe.yaml")
    command = [sys.executable, "-m", "pipeline", "run", recipe, "--input", str(data), "--output", str(output)]
    for setting in (f"training.seed={seed}", *settings):
        command += ["--set", setting]
    ran = subprocess.run(command, check=False)
    if ran.returncode not in (0, 3):
        sys.exit(f"the run with seed {seed} ended with {ran.returncode}")
    return json.loads((output / name / "latest/report/metrics.json").read_text())


class Transformed:
    """The transformed examples of a recipe's last run, in memory, read when first asked for.

    Args:
      recipe: of the run.
      output: the output folder.
    """

    def __init__(self, recipe: Recipe, output: Path):
        self.recipe, self.output = recipe, output
        self.graph = _newest(recipe, output, "Transform", "transform_graph")
        self.layout = vocabulary.read_layout(self.graph)
        self._splits: dict = {}

    def split(self, name: str) -> dict:
        """Arrays of `train` or `validation` with labels, or the model's inputs of `test`."""
        if name not in self._splits:
            if name == "test":
                self._splits[name] = transformed_test(self.recipe, self.output, self.graph)
            else:
                examples = _newest(self.recipe, self.output, "Transform", "transformed_examples")
                files = [f"{examples}/Split-{name}/*"]
                self._splits[name] = trainer.read_arrays(files, self.layout, self.recipe)
        return self._splits[name]


def train_seed(recipe: Recipe, transformed: Transformed, seed: int, kept: Path) -> dict:
    """Test scores of a recipe trained with a seed on a run's transformed examples.

    What is in `kept` is not trained again: a benchmark that was interrupted goes on.

    Returns:
      task → `[rows]` of the test split, in the order of its examples; and `epoch`, the one that was kept.
    """
    path = kept / f"seed-{seed}.npz"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        training = recipe.training.model_copy(update={"seed": seed})
        keras.utils.set_random_seed(seed)
        model, history = trainer.fit(
            recipe.model_copy(update={"training": training}),
            transformed.layout,
            transformed.split("train"),
            transformed.split("validation"),
            kept / f"logs-{seed}",
            show=lambda at: None,
        )
        scores = model.predict(transformed.split("test"), batch_size=8192, verbose=0)
        np.savez(path, epoch=history["best_epoch"], **scores)
        print(f"{kept.name}: seed {seed} trained, epoch {history['best_epoch']} kept", flush=True)
    with np.load(path) as read:
        return dict(read)


def train_seeds(recipe: Recipe, output: Path, seeds: int, kept: Path) -> list[dict]:
    """Test scores of a recipe trained with seeds 1, 2, …: `train_seed` of each."""
    transformed = Transformed(recipe, output)
    return [train_seed(recipe, transformed, seed, kept) for seed in range(1, seeds + 1)]


def transformed_test(recipe: Recipe, output: Path, graph: Path) -> dict:
    """The model's inputs of the test split, whose examples a run leaves as they are."""
    import tensorflow_transform as tft  # slow to import, and not needed where everything is kept

    transform = tft.TFTransformOutput(str(graph))
    layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()
    examples = _newest(recipe, output, "Ingest", "examples")
    parts = []
    for serialized in serialized_batches(examples, "test"):
        made = layer(tf.io.parse_example(serialized, spec))
        parts.append({n: v.numpy() for n, v in made.items() if "/" not in n})
    return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}


def _newest(recipe: Recipe, output: Path, component: str, name: str) -> Path:
    """The newest artifact of a component."""
    folders = (output / recipe.name / "artifacts" / component / name).iterdir()
    return max(folders, key=lambda path: int(path.name))


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t over seeds; of one value the interval is the value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, mean - float(half), mean + float(half)


def shown(values: list[float], places: int = 4) -> str:
    """`mean ± half of the 95 % interval` over seeds."""
    mean, low, _ = interval(values)
    return f"{mean:.{places}f} ± {mean - low:.{places}f}"


def rows(recipe: Recipe, output: Path, split: str) -> pd.DataFrame:
    """All columns, derived columns and labels of a split of the last ingestion; of a list its first value."""
    examples = _newest(recipe, output, "Ingest", "examples")
    columns = {n: c.type for n, c in recipe.example_columns.items()}
    columns |= {f"{task}/label": "float" for task in recipe.tasks}
    parts = []
    for batch in record_batches(examples, split, columns):
        arrays = {n: single_values(c) for n, c in zip(batch.schema.names, batch.columns)}
        parts.append(pd.DataFrame({n: c.to_pandas() for n, c in arrays.items()} | derived(recipe, arrays)))
    return pd.concat(parts, ignore_index=True)


def derived(recipe: Recipe, arrays: dict) -> dict:
    """The recipe's derived columns, from the others as Arrow arrays."""
    read = {n for expression in recipe.derived_columns.values() for n in expression.columns}
    values = {n: numpy_operations.column_values(c) for n, c in arrays.items() if n in read}
    for name, expression in recipe.derived_columns.items():
        values[name] = expression.evaluate(values, numpy_operations)
    return {n: values[n] for n in recipe.derived_columns}


def is_text(recipe: Recipe, name: str) -> bool:
    """Whether a column holds words, which trees take as categories."""
    return name in recipe.columns and recipe.columns[name].type in ("string", "list[string]")


def code_texts(recipe: Recipe, train: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """Makes words what trees take, in place; returns the columns that are categories.

    Texts that are all whole numbers in training are taken as those, which serves trees better here than
    categories do; of others the 250 most frequent are coded, and the rest are NaN.
    """
    categories = []
    for name in [n for n in train if is_text(recipe, n)]:
        texts = [
            frame[name].map(lambda v: v.decode() if isinstance(v, bytes) else v, na_action="ignore")
            for frame in (train, test)
        ]
        if texts[0].dropna().str.fullmatch(r"-?\d+").all():
            train[name], test[name] = (pd.to_numeric(t, errors="coerce") for t in texts)
            continue
        known = pd.Index(texts[0].value_counts().index[:250])
        for frame, text in zip((train, test), texts):
            codes = known.get_indexer(text)
            frame[name] = np.where(codes < 0, np.nan, codes)
        categories.append(name)
    return categories
