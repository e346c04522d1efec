"""The deployment files, as far as something can be held against them without Docker or Kubernetes."""

import http.server
import importlib.metadata
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from kubernetes import client
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving import model_config, versions

FOLDER = Path(__file__).parents[2] / "serving" / "deploy"
IMAGE = f"tensorflow/serving:{importlib.metadata.version('tensorflow-serving-api')}"
MODELS = {
    "Deployment": client.V1Deployment,
    "Service": client.V1Service,
    "ConfigMap": client.V1ConfigMap,
    "PersistentVolumeClaim": client.V1PersistentVolumeClaim,
}
_FIELD = descriptor_pb2.FieldDescriptorProto


def message(name: str, **fields: str):
    """A message of the package tensorflow.serving with these fields, numbered in order."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append("google/protobuf/wrappers.proto")
    inner = file.message_type.add(name="PrometheusConfig")
    inner.field.add(name="enable", number=1, type=_FIELD.TYPE_BOOL, label=_FIELD.LABEL_OPTIONAL)
    inner.field.add(name="path", number=2, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    outer = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        one = outer.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
        if kind.startswith("."):
            one.type, one.type_name = _FIELD.TYPE_MESSAGE, kind
        else:
            one.type = {"int64s": _FIELD.TYPE_INT64, "bool": _FIELD.TYPE_BOOL}[kind]
            one.label = _FIELD.LABEL_REPEATED if kind == "int64s" else _FIELD.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))()


def batching():
    """As in tensorflow_serving/servables/tensorflow/session_bundle_config.proto; the API lacks it."""
    number = ".google.protobuf.Int64Value"
    return message(
        "BatchingParameters",
        max_batch_size=number,
        batch_timeout_micros=number,
        max_enqueued_batches=number,
        num_batch_threads=number,
        thread_pool_name=".google.protobuf.StringValue",
        allowed_batch_sizes="int64s",
        pad_variable_length_inputs="bool",
    )


def monitoring():
    """As in tensorflow_serving/config/monitoring_config.proto, likewise."""
    return message("MonitoringConfig", prometheus_config=".tensorflow.serving.PrometheusConfig")


@pytest.fixture(scope="module")
def manifests():
    """Kind -> the manifest as a dict."""
    found = [yaml.safe_load(p.read_text()) for p in sorted((FOLDER / "kubernetes").glob("*.yaml"))]
    assert sorted(m["kind"] for m in found) == sorted(MODELS)
    return {m["kind"]: m for m in found}


@pytest.fixture(scope="module")
def container(manifests):
    [one] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return one


@pytest.fixture(scope="module")
def service():
    found = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert set(found) == {"services"}
    return found["services"]["serving"]


def test_models_config_is_what_a_first_push_writes(tmp_path):
    model, served = tmp_path / "model", tmp_path / "demo" / "serving"
    (model / "variables").mkdir(parents=True)
    for part in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (model / part).write_text("x")
    versions.push(model, served, {})
    model_config.write(served, 1)
    assert (served / "models.config").read_text() == (FOLDER / "models.config").read_text()
    [one] = text_format.Parse(
        (served / "models.config").read_text(), ModelServerConfig()
    ).model_config_list.config
    assert (one.name, one.base_path, one.model_platform) == ("demo", "/models/demo", "tensorflow")
    assert dict(one.version_labels) == {"stable": 1, "canary": 1}
    assert one.model_version_policy.latest.num_versions == 2


def test_batching_config_keeps_the_servers_rules():
    found = text_format.Parse((FOLDER / "batching.config").read_text(), batching())
    sizes = list(found.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == found.max_batch_size.value
    assert found.num_batch_threads.value >= 1
    assert not found.pad_variable_length_inputs  # it repeats a list's first value


def test_monitoring_config():
    found = text_format.Parse((FOLDER / "monitoring.config").read_text(), monitoring())
    assert found.prometheus_config.enable and found.prometheus_config.path.startswith("/")


def test_a_field_that_the_server_does_not_know_fails_these_tests():
    with pytest.raises(text_format.ParseError, match="no field named"):
        text_format.Parse("max_batchsize { value: 1 }", batching())


@pytest.mark.parametrize("kind", MODELS)
def test_manifests_are_what_kubernetes_takes(manifests, kind):
    manifest = manifests[kind]
    assert {"apiVersion", "kind", "metadata"} <= set(manifest)
    with client.ApiClient() as api:
        read = api.deserialize(type("Response", (), {"data": json.dumps(manifest)}), MODELS[kind])
        assert api.sanitize_for_serialization(read) == manifest  # a key that is unknown there would be lost


def test_manifests_fit_together(manifests, container):
    spec = manifests["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert manifests["Service"]["spec"]["selector"].items() <= labels.items()
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {p["targetPort"]: p["port"] for p in manifests["Service"]["spec"]["ports"]} == ports
    volumes = {v["name"]: v for v in spec["template"]["spec"]["volumes"]}
    assert {m["name"] for m in container["volumeMounts"]} == set(volumes)
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifests["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v1/models/demo", "port": "rest"}
    assert container["livenessProbe"]["tcpSocket"]["port"] == "grpc"
    for part in ("requests", "limits"):
        assert set(container["resources"][part]) == {"cpu", "memory"}
    assert container["image"] == IMAGE


def test_the_config_map_holds_the_files_of_this_folder(manifests):
    for name, parsed in (("monitoring.config", monitoring), ("batching.config", batching)):
        there = text_format.Parse(manifests["ConfigMap"]["data"][name], parsed())
        here = text_format.Parse((FOLDER / name).read_text(), parsed())
        assert text_format.MessageToString(there) == text_format.MessageToString(here)


def test_compose_has_what_a_service_needs(service):
    assert {"image", "command", "ports", "volumes", "healthcheck"} <= set(service)
    assert service["image"] == IMAGE
    assert [p.rpartition(":")[2] for p in service["ports"]] == ["8500", "8501"]
    assert all(p.startswith("127.0.0.1:") for p in service["ports"])
    assert service["volumes"][0].endswith("/serving:/models/${MODEL:-demo}:ro")


def test_both_give_the_server_the_same_flags_and_files_that_are_mounted(service, container):
    flags = [f.replace("${MODEL:-demo}", "demo") for f in service["command"]]
    assert flags == container["args"]
    given = dict(f.removeprefix("--").split("=", 1) for f in flags)
    assert given["model_config_file"] == f"/models/demo/{model_config.FILE}"
    assert (FOLDER / Path(given["monitoring_config_file"]).name).is_file()
    assert int(given["model_config_file_poll_wait_seconds"]) > 0
    assert given["allow_version_labels_for_unavailable_models"] == "true"


@pytest.mark.parametrize("state, healthy", [("AVAILABLE", True), ("LOADING", False), (None, False)])
def test_the_health_check_asks_the_status(service, state, healthy):
    class Status(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = {"model_version_status": [{"version": "1", "state": state}]}
            self.send_response(200 if state and self.path == "/v1/models/demo" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer, indent=1).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Status) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        command[-1] = command[-1].replace("8501", str(server.server_port)).replace("${MODEL:-demo}", "demo")
        found = subprocess.run(command, capture_output=True, timeout=60, check=False, env=dict(os.environ))
        server.shutdown()
    assert (found.returncode == 0) == healthy
