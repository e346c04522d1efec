"""How a recipe's column types are written in tf.Examples."""

from tensorflow_metadata.proto.v0 import schema_pb2

FEATURE_TYPES = {
    "int": schema_pb2.INT,
    "time": schema_pb2.INT,
    "date": schema_pb2.INT,
    "list[int]": schema_pb2.INT,
    "float": schema_pb2.FLOAT,
    "vector": schema_pb2.FLOAT,
    "string": schema_pb2.BYTES,
    "list[string]": schema_pb2.BYTES,
}
