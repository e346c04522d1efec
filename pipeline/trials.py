"""Trials over a recipe's search space, each trained as the Trainer would.

The first trial is the recipe as it is, so that what the others gain is known. The rest are drawn at random
(Bergstra & Bengio 2012), the same ones with the same seed.
"""

import shutil
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner

from pipeline import progress, trainer
from pipeline.recipe import Recipe
from pipeline.recipe.searches import Range
from pipeline.recipe.space import value_at, with_values
from pipeline.tuned import decoded, encoded

GAIN = "gain"


class Trials(BaseTuner):
    """Trials of a recipe's search space, kept in a folder; a stopped one goes on from its last epoch."""

    def __init__(self, recipe: Recipe, layout: Any, folder: Path, search: str, vectors: Any = None):
        """Finds the trials that are there.

        Args:
          recipe: with `tune`.
          layout: of the inputs.
          folder: of all searches.
          vectors: those that the model holds (see `trainer.held_vectors`).
          search: the name of this one's folder: a digest of all that trials depend on.
        """
        self._recipe, self._layout, self._vectors = recipe, layout, vectors
        super().__init__(FromRecipe(recipe), directory=str(folder), project_name=search)
        self.oracle.verbose = 0

    def run_trial(self, trial: Any, train: tuple, validation: tuple) -> dict[str, float]:
        """Trains; gives the best epoch's objective on validation."""
        recipe = with_values(self._recipe, decoded(trial.hyperparameters.values))
        folder = Path(self.get_trial_dir(trial.trial_id))
        keras.backend.clear_session()
        keras.utils.set_random_seed(recipe.training.seed)
        number, count, epochs = len(self.oracle.end_order) + 1, recipe.tune.trials, recipe.training.epochs

        def show(at: dict) -> None:
            text = f"trial {number} of at most {count}, epoch {at['epoch']} of at most {epochs}"
            progress.tell(text, (number - 1) / count)

        _, history = trainer.fit(
            recipe, self._layout, train, validation, folder, (folder, folder.name), show, self._vectors
        )
        for left in (*folder.glob("state.npz"), *folder.glob("model.keras")):
            left.unlink()
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        return {GAIN: float(history["epochs"][history["best_epoch"] - 1]["objective"])}

    def on_search_end(self) -> None:
        """Raises RuntimeError where no trial came to an end: KerasTuner would name one all the same."""
        trials = self.oracle.trials.values()
        if not any(trial.status == "COMPLETED" for trial in trials):
            told = next((t.message for t in trials if t.message), "no trial was run")
            raise RuntimeError(
                f"none of {len(trials)} trials came to an end: {told.strip().splitlines()[-1]}"
            )


class FromRecipe(keras_tuner.oracles.RandomSearchOracle):
    """Random search that begins with the recipe as it is."""

    def __init__(self, recipe: Recipe):
        """Takes a recipe with `tune`."""
        tune, space = recipe.tune, keras_tuner.HyperParameters()
        self._first = {}
        for path, values in tune.space.items():
            now = value_at(recipe, path)
            if isinstance(values, Range):
                whole = isinstance(values.min, int) and isinstance(values.max, int)
                kind = space.Int if whole else space.Float
                kind(path, values.min, values.max, sampling="log" if values.log else "linear")
                self._first[path] = now
            else:
                space.Choice(path, [encoded(value) for value in values])
                self._first[path] = encoded(now)
        super().__init__(
            objective=keras_tuner.Objective(GAIN, "max"),
            max_trials=tune.trials,
            seed=tune.seed,
            hyperparameters=space,
            allow_new_entries=False,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next trial's values, as KerasTuner asks for them."""
        if not self.trials:
            return {"status": "RUNNING", "values": dict(self._first)}
        return super().populate_space(trial_id)
