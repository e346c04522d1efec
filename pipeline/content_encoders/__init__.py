"""Pictures and texts → vectors: once per content, at scale, by any encoder."""

from pipeline.content_encoders.run import EncodedTable, encode

__all__ = ["EncodedTable", "encode"]
