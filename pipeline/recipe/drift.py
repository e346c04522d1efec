"""How much a span may differ from those before it."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.recipe.parts import Name, Part

Bound = Annotated[float, Field(gt=0, le=1)]
Then = Annotated[
    Literal["stop", "warn"],
    Field(description="what becomes of a run beyond a bound: it is refused, or only says so"),
]
Values = Annotated[
    Bound | None,
    Field(
        description="of a column of texts the largest change of one value's share (L-infinity), of numbers the "
        "Jensen-Shannon divergence to base 2; 0.15",
    ),
]
Missing = Annotated[Bound | None, Field(description="change of the share of rows without a value; 0.05")]


class Drift(Part):
    """How much a span may differ from the span before it, and from all that its run trains on: of the columns that
    the model reads, of its vectors and of labels. A bound that is left out is learned: half as far again as the earlier
    spans of the window ever were, and no less than the number given."""

    then: Then = "stop"
    encoder: Literal["stop", "warn"] | None = Field(
        None,
        description="what becomes of a run whose model holds vectors (`vision`, `text`, `precomputed`) that "
        "another encoder makes than those of the model that serves; `then` where left out",
    )
    values: Values = None
    columns: dict[Name, Bound] = Field({}, description="column → the same for it alone")
    new_values: Bound | None = Field(
        None, description="share of a column of texts that was never there before; 0.3"
    )
    missing: Missing = None
    label: float | None = Field(
        None, gt=0, description="relative change of a task's rate, or mean of a regression; 0.3"
    )
    vectors: float | None = Field(
        None,
        gt=0,
        description="of features that are vectors: their shift, as that of [gates on vectors](#vectorgate); 0.25",
    )
    length: float | None = Field(None, gt=0, description="relative change of the vectors' length; 0.2")
    dead: Bound | None = Field(
        None, description="change of the share of a vector's numbers that are the same in all rows; 0.05"
    )
