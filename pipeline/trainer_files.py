"""Names of the files that training leaves."""

HISTORY = "history.json"
METRICS = "metrics.json"
STATE = "state.npz"  # as `mtl_models.Checkpoint` calls it
STATISTICS = "statistics.json"  # beside the transform graph: what it scales and buckets by
