"""Runs that begin from the model that serves."""

from pydantic import Field

from pipeline.recipe.parts import Part


class WarmStart(Part):
    """A run begins from the model that serves, and a run of a span trains on the rows that this one has not
    been trained on, at rates that do not fall (a falling `schedule` is for the other runs). Ids keep their
    rows and vocabularies only grow; scalings, bucket edges and bins stay. Where features, tasks, model,
    weighting or optimizers have changed, and every so many runs, a run trains from nothing on all of its
    window."""

    full_retrain_every: int = Field(
        7,
        ge=2,
        le=10_000,
        description="one run in so many trains from nothing, which also forgets ids not seen",
    )
    epochs: int = Field(1, ge=1, le=100_000, description="of a run that begins from a model, at most")
    keep_optimizer: bool = Field(
        True,
        description="go on with the optimizers' state, that of known ids' rows too; false begins without. "
        "What was trained in 16 bits has none to go on with",
    )
