"""What an evaluation leaves in its folder."""

SCORES = "scores.parquet"
METRICS = "metrics.parquet"
RELIABILITY = "reliability.parquet"
