"""gRPC through the stubs of tensorflow-serving-api alone."""

import asyncio

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server.limits import Limits
from serving.server.manager import Manager
from serving.server.server import Server


@pytest.fixture(scope="module")
def channel(live):
    with grpc.insecure_channel(f"127.0.0.1:{live.server.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def predict(signature="", version=None, label="", only=(), name="demo", **inputs):
    request = predict_pb2.PredictRequest(output_filter=only)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    for key, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        request.inputs[key].CopyFrom(proto)
    return request


def row(**changed):
    inputs = {
        "price": np.float32([1.5, 2]),
        "id": [b"abc", b"\xff"],
        "age": np.int64([30, 31]),
        "tags": [[b"x", b""], [b"y", b"z"]],
    } | changed
    return {key: value for key, value in inputs.items() if value is not None}


def test_answers_with_typed_values_that_any_client_reads(stub):
    found = stub.Predict(predict(**row()), timeout=60)
    assert (found.model_spec.name, found.model_spec.version.value) == ("demo", 2)
    assert found.model_spec.signature_name == "serving_default"
    assert list(found.outputs["click"].float_val) == [3.0, 4.0]
    assert tf.make_ndarray(found.outputs["length"]).tolist() == [3, 1]
    assert tf.make_ndarray(found.outputs["like"]).tolist() == [[30, 1], [31, 2]]


@pytest.mark.parametrize(
    ("which", "factor"),
    [({}, 2), ({"version": 1}, 1), ({"version": 3}, 3), ({"label": "stable"}, 2), ({"label": "canary"}, 3)],
)
def test_every_version_and_label(stub, which, factor):
    found = stub.Predict(predict(**which, **row()), timeout=60)
    assert list(found.outputs["click"].float_val) == [1.5 * factor, 2 * factor]
    assert found.model_spec.version.value == factor


def test_other_signatures_and_filtered_outputs(stub):
    found = stub.Predict(predict("echo", raw=[b"a"]), timeout=60)
    assert list(found.outputs["raw_bytes"].string_val) == [b"a\xff"]
    found = stub.Predict(predict(only=["length"], **row()), timeout=60)
    assert list(found.outputs) == ["length"]


def test_a_default_of_the_saved_file_stands_for_an_input_left_out(stub):
    one = row(age=None, price=np.float32([1]), id=[b"a"], tags=[[b""]])
    assert tf.make_ndarray(stub.Predict(predict(**one), timeout=60).outputs["like"]).tolist() == [[7, 0]]


def test_one_value_for_a_whole_shape(stub):
    same = tf.make_tensor_proto(np.float32(2))
    same.tensor_shape.dim.add(size=2)
    assert list(stub.Predict(predict(**row(price=same)), timeout=60).outputs["click"].float_val) == [4, 4]


def broken(size, **changed):
    proto = tf.make_tensor_proto(np.float32([1, 2]))
    proto.tensor_shape.dim[0].size = size
    for key, value in changed.items():
        setattr(proto, key, value)
    return proto


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (predict(name="", **row()), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (predict(name="other", **row()), "NOT_FOUND", "Servable not found for request: Latest(other)"),
        (
            predict(name="../../etc", **row()),
            "NOT_FOUND",
            "Servable not found for request: Latest(../../etc)",
        ),
        (predict(version=9, **row()), "NOT_FOUND", "Servable not found for request: Specific(demo, 9)"),
        (predict(label="no", **row()), "INVALID_ARGUMENT", "Unrecognized servable version label: no"),
        (predict("nope", **row()), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        (predict(**row(id=None)), "INVALID_ARGUMENT", "Missing but required: {id}"),
        (predict(more=[1], **row()), "INVALID_ARGUMENT", "Sent extra: {more}"),
        (predict(**row(price=np.float64([1, 2]))), "INVALID_ARGUMENT", "price to be float32 but got float64"),
        (predict(**row(price=[b"1", b"2"])), "INVALID_ARGUMENT", "price to be float32 but got string"),
        (predict(**row(tags=[b"x", b"y"])), "INVALID_ARGUMENT", "tags to have shape (None, None)"),
        (predict(**row(price=np.ones(1001, np.float32))), "INVALID_ARGUMENT", "1000 in a request"),
        (predict(only=["no"], **row()), "INVALID_ARGUMENT", "output tensor alias not found in signature: no"),
        (predict(only=["click", "click"], **row()), "INVALID_ARGUMENT", "duplicate output tensor alias"),
        (predict(**row(price=broken(3))), "INVALID_ARGUMENT", "tensor parsing error: price"),
        (predict(**row(price=broken(-1))), "INVALID_ARGUMENT", "tensor parsing error: price"),
        (predict(**row(price=broken(1 << 60))), "INVALID_ARGUMENT", "unfolds to more than"),
        (predict(**row(price=broken(2, dtype=99))), "INVALID_ARGUMENT", "tensor parsing error: price"),
        (predict(**row(id=[b"x" * (1 << 20), b""])), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_what_is_refused_and_the_next_request_is_served(stub, request_, code, said):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_, timeout=60)
    assert caught.value.code().name == code and said in caught.value.details()
    assert stub.Predict(predict(**row()), timeout=60).outputs["click"].float_val[0] == 3


def test_bytes_that_are_no_message(stub, channel):
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff", timeout=60)
    assert caught.value.code().name == "INTERNAL"
    assert stub.Predict(predict(**row()), timeout=60).outputs["click"].float_val[0] == 3


def test_methods_that_are_not_there(channel):
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=60)
    assert caught.value.code().name == "UNIMPLEMENTED"


def test_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "demo"
    found = stub.GetModelMetadata(request, timeout=60)
    assert found.model_spec.version.value == 2
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert found.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["serving_default"].inputs) == {"price", "id", "age", "tags"}
    for fields, said in (([], "must specify at least one"), (["x"], "Metadata field x is not supported")):
        bad = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        bad.model_spec.name = "demo"
        with pytest.raises(grpc.RpcError, match=said) as caught:
            stub.GetModelMetadata(bad, timeout=60)
        assert caught.value.code().name == "INVALID_ARGUMENT"


def test_status(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "demo"
    found = stub.GetModelStatus(request, timeout=60)
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(v.version, v.state) for v in found.model_version_status] == [(v, available) for v in (3, 2, 1)]
    request.model_spec.version.value = 9
    with pytest.raises(grpc.RpcError, match="Could not find version 9 of model demo") as caught:
        stub.GetModelStatus(request, timeout=60)
    assert caught.value.code().name == "NOT_FOUND"


def test_an_end_waits_for_what_is_under_way_and_a_taken_port_is_said(serve, hold_calls):
    live = serve(limits=Limits(threads=1))
    other = Server(Manager(live.folder, "x", {}), Limits(), "127.0.0.1", 0, live.server.grpc_port)
    with pytest.raises(OSError, match="is the port taken"):
        live.wait(other.start())
    live.wait(other.stop())
    gate = hold_calls(live)
    with grpc.insecure_channel(f"127.0.0.1:{live.server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict.future(predict(**row()), timeout=60)
        assert gate.inside.acquire(timeout=60)
        ending = asyncio.run_coroutine_threadsafe(live.server.stop(), live._loop)
        gate.open.set()
        assert list(answer.result().outputs["click"].float_val) == [1.5, 2]
        ending.result(60)
