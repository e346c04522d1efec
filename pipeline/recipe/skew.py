"""How much served requests may differ from what was trained on."""

from pydantic import Field

from pipeline.recipe.drift import Bound, Missing, Then, Values
from pipeline.recipe.parts import Files, Name, Part


class Skew(Part):
    """How much the requests that are served may differ from what a run trains on, column by column. A bound that
    is left out is the number given, and what chance does besides. Not of times, vectors, `roles.position` and what
    `history` makes, where `columns` does not name them."""

    requests: Files = Field(
        description="the files that `mtl serve --log-requests` wrote: paths or patterns below the input folder, "
        "or absolute ones, such as `/var/log/mtl/requests-*.parquet`; of a run of a span, what was served in it"
    )
    then: Then = "stop"
    values: Values = None
    columns: dict[Name, Bound] = Field(
        {},
        description="column → the same for it alone; 1 lets all pass, as that of items may need: more are asked "
        "about than are shown",
    )
    new_values: Bound | None = Field(
        None, description="share of a column of texts that training never saw; 0.3"
    )
    missing: Missing = None
