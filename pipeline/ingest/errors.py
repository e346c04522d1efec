"""What ingestion raises for data that cannot be used, or not now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.ingest.counts import Counts


class DataError(Exception):
    """Data that does not fit the recipe, or cannot be read. The message is for the reader of the run.

    Attributes:
      counts: what had been counted when the run stopped, where it got that far.
    """

    def __init__(self, message: str, counts: Counts | None = None):
        super().__init__(message)
        self.counts = counts


class Unreachable(DataError):
    """What could not be had this time, and may be the next: no answer, a lost connection, a file in the making."""
