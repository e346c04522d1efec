"""What recipes of whole runs on the demo's data begin with, behind their names; their own columns of the log follow."""

BEGIN = """
sources:
  log:
    files: impressions/*/*.parquet
    columns:
      impression_id: {type: int, required: true}
      request_id: int
      user_id: string
      item_id: string
      timestamp: {type: time, required: true}
"""
