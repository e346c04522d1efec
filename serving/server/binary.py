"""TensorFlow Serving's own binary in place of ours: command line, and configuration that follows CURRENT."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from serving.server.folder import preferred
from serving.server.limits import Limits

BINARY = "tensorflow_model_server"
EVERY_ADDRESS = ("0.0.0.0", "::")
MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'


def found(host: str) -> str | None:
    """The binary's path, where there is one and it may be used.

    It has no option for the address that it listens on and takes all of them, so that it is used only where
    `host` is all of them too.
    """
    return shutil.which(BINARY) if host in EVERY_ADDRESS else None


def model_config(folder: Path, name: str, labels: Mapping[str, int], every_version: bool) -> str:
    """A ModelServerConfig in text form that serves what `mtl serve` would.

    The version that CURRENT names is loaded and labelled `stable`. Of the versions loaded TensorFlow Serving
    answers with the highest where a request names none.

    Raises:
      ValueError: there is no version.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    serves = preferred(folder)
    if serves is None:
        raise ValueError(f"{folder} has no version that is whole")
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add(
        name=name, base_path=str(folder.resolve()), model_platform="tensorflow"
    )
    if every_version:
        model.model_version_policy.all.SetInParent()
    else:
        model.model_version_policy.specific.versions.extend(sorted({serves, *labels.values()}))
    for label, version in {"stable": serves, **labels}.items():
        model.version_labels[label] = version
    return text_format.MessageToString(config)


def command(binary: str, files: Path, rest_port: int, grpc_port: int, limits: Limits) -> list[str]:
    """The command line; `files` holds models.config and monitoring.config."""
    return [
        binary,
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--rest_api_timeout_in_ms={int(limits.seconds * 1000)}",
        f"--model_config_file={files / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={files / 'monitoring.config'}",
    ]


def run(
    binary: str,
    folder: Path,
    name: str,
    labels: Mapping[str, int],
    every_version: bool,
    rest_port: int,
    grpc_port: int,
    limits: Limits,
) -> int:
    """Runs the binary until it ends or this process is told to, and gives its exit code."""
    with tempfile.TemporaryDirectory(prefix="mtl-serve-") as place:
        files = Path(place)
        (files / "monitoring.config").write_text(MONITORING)
        config = _write(files, model_config(folder, name, labels, every_version))
        process = subprocess.Popen(command(binary, files, rest_port, grpc_port, limits))
        before = {
            number: signal.signal(number, lambda *_: process.terminate())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while process.poll() is None:
                time.sleep(0.5)
                try:
                    now = model_config(folder, name, labels, every_version)
                except (ValueError, OSError):  # a folder that is being changed: what is served stays
                    continue
                if now != config:
                    config = _write(files, now)
            return process.returncode
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _write(files: Path, text: str) -> str:
    (files / "models.config.part").write_text(text)
    os.replace(files / "models.config.part", files / "models.config")
    return text
