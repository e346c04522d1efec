"""Days or hours of the log, each ingested once and trained on by the runs that follow."""

from typing import Literal

from pydantic import Field

from pipeline.recipe.drift import Drift
from pipeline.recipe.parts import Part


class Spans(Part):
    """Days or hours of the log, by `roles.time`, for `mtl run --span`: the run of a span ingests it, trains on
    the spans before and evaluates on it. `splits` is for runs without a span."""

    by: Literal["day", "hour"] = Field("day", description="how long a span is")
    window: int = Field(7, ge=1, le=10_000, description="how many spans before its own a run trains on")
    validation: float = Field(
        0.25,
        gt=0,
        lt=1,
        description="the last share of the newest of these, by time: training stops by it, and calibration "
        "is fitted on it",
    )
    drift: Drift | None = Field(
        Drift(), description="how much a span may differ from those before it; null asks nothing"
    )
    catalogs: Literal["as_ingested", "newest"] = Field(
        "as_ingested",
        description="what a span's rows have of a catalog that changes: as_ingested, what it said when the span "
        "was ingested, as it was known then; newest, what it says now, so that a changed catalog makes a new "
        "version of every span of the window, as a corrected one should. Catalogs with a `time` have every "
        "row's own either way",
    )
    utc_offset_hours: float = Field(0, ge=-14, le=14, description="where days and hours begin")
