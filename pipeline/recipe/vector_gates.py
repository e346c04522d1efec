"""Gates on features that are vectors."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.recipe.parts import Name, Part


class VectorGate(Part):
    """A bound on a feature's vectors in the evaluated rows: that they are still what they were."""

    vectors: Name = Field(
        description="a feature of kind `vision`, `text`, `precomputed` or `vector`; with this key, a gate is "
        "one of vectors"
    )
    metric: Literal["shift", "absent", "dead"] = Field(
        description="`shift`: how far mean and covariance have moved, as the Fréchet distance over the total "
        "variance: 0 is not at all, and 1 a mean that moved by the whole spread; chance makes some, more the "
        "fewer the items, see the report. `absent`: share of rows "
        "without a vector. `dead`: share of its numbers that are the same in all rows"
    )
    upper: float = Field(ge=0, description="largest value allowed")
    against: Literal["training", "serving"] | None = Field(
        None,
        description="of `shift`: what the vectors of the evaluated rows are compared with, those of "
        "training's rows, or those of the evaluated rows of the run that made the serving model, where the "
        "same encoder made both: else the gate is skipped, and says which two",
    )

    @model_validator(mode="after")
    def _against(self) -> "VectorGate":
        if self.metric == "shift" and self.against is None:
            raise ValueError("shift is against something: write `against: training` or `against: serving`")
        if self.metric != "shift" and self.against is not None:
            raise ValueError(f"{self.metric} is of the evaluated rows alone; leave out against")
        if self.metric != "shift" and self.upper >= 1:
            raise ValueError(f"{self.metric} is a share; with upper 1 or more nothing could fail")
        return self
