"""Pictures and texts → vectors: once per content, at scale, by any encoder."""

from pipeline.content_encoders.encode import EncodedTable, encode

__all__ = ["EncodedTable", "encode"]
