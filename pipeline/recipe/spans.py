"""Days or hours of the log, each ingested once and trained on by the runs that follow."""

from typing import Literal

from pydantic import Field

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
    utc_offset_hours: float = Field(0, ge=-14, le=14, description="where days and hours begin")
