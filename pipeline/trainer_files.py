"""Names of the files that training leaves."""

HISTORY = "history.json"
METRICS = "metrics.json"
