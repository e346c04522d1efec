"""Status and metadata of a model as TensorFlow Serving's messages."""

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving.server.errors import RequestError, invalid
from serving.server.manager import Manager
from serving.server.servable import Servable

_NOT_LOADED = 2  # UNKNOWN of google/rpc/code.proto


def model_status(
    manager: Manager, name: str, version: int | None = None, label: str = ""
) -> get_model_status_pb2.GetModelStatusResponse:
    """States of all versions, or of the one that is asked for.

    Raises:
      RequestError: NOT_FOUND where there is none, INVALID_ARGUMENT for no name or an unknown label.
    """
    if not name:
        raise invalid("ModelSpec has no name specified.")
    found = manager.status() if name == manager.name else {}
    if label and found:
        labels = manager.served.labels
        if label not in labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        version = labels[label]
    if version is not None:
        if version not in found:
            raise RequestError("NOT_FOUND", f"Could not find version {version} of model {name}")
        found = {version: found[version]}
    if not found:
        raise RequestError("NOT_FOUND", f"Could not find any versions of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for number, status in found.items():
        one = response.model_version_status.add(version=number)
        one.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        one.status.error_code = _NOT_LOADED if status.error else 0
        one.status.error_message = status.error
    return response


def metadata(
    name: str, servable: Servable
) -> tuple[model_pb2.ModelSpec, get_model_metadata_pb2.SignatureDefMap]:
    """What the model is, and its signatures with their inputs, outputs and defaults."""
    spec = model_pb2.ModelSpec(name=name)
    spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in servable.signatures.items():
        signatures.signature_def[key].CopyFrom(signature)
    return spec, signatures
