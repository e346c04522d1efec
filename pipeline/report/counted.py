"""What an ingestion counted, as the report tells it."""

from pathlib import Path

from pipeline.ingest.counts import Counts
from pipeline.ingest.explain import dead_kinds
from pipeline.report.facts import DeadRows, RowCounts


def row_counts(counts: Counts, letters: Path) -> RowCounts:
    """Counts, with the kinds of dead letters in a file, if it is there."""
    return RowCounts(
        read=counts.read,
        **counts.written,
        dropped=counts.rows_dropped,
        dead=counts.rows_dead,
        dropped_reasons=counts.dropped,
        dead_reasons=counts.dead,
        unmatched=counts.unmatched,
        cut=counts.cut,
        events=counts.attributed,
        open_windows=counts.open_windows,
        dead_letters=_dead(counts, letters),
    )


def _dead(counts: Counts, letters: Path) -> list[DeadRows]:
    read = {"log": counts.read}
    for what, sources in (("catalogs", counts.catalogs), ("events", counts.events)):
        read |= {f"{what}.{name}": of["read"] for name, of in sources.items()}
    return [
        DeadRows(d.source, d.kind, d.rows, read.get(d.source, 0), d.reason, d.file, d.position)
        for d in (dead_kinds(letters) if letters.is_file() else [])
    ]
