"""How much served requests may differ from what was trained on."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.recipe.parts import Files, Name, Part

_Bound = Annotated[float, Field(gt=0, le=1)]


class Skew(Part):
    """How much the requests that are served may differ from what a run trains on, column by column. A bound that
    is left out is the number given, and what chance does besides. Not of times, vectors, `roles.position` and what
    `history` makes, where `columns` does not name them."""

    requests: Files = Field(
        description="the files that `mtl serve --log-requests` wrote: paths or patterns below the input folder, "
        "or absolute ones, such as `/var/log/mtl/requests-*.parquet`; of a run of a span, what was served in it"
    )
    then: Literal["stop", "warn"] = Field(
        "stop", description="what becomes of a run beyond a bound: it is refused, or only says so"
    )
    values: _Bound | None = Field(
        None,
        description="of a column of texts the largest change of one value's share (L-infinity), of numbers the "
        "Jensen-Shannon divergence to base 2; 0.15",
    )
    columns: dict[Name, _Bound] = Field(
        {},
        description="column → the same for it alone; 1 lets all pass, as that of items may need: more are asked "
        "about than are shown",
    )
    new_values: _Bound | None = Field(
        None, description="share of a column of texts that training never saw; 0.3"
    )
    missing: _Bound | None = Field(None, description="change of the share of rows without a value; 0.05")
