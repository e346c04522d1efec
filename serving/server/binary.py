"""TensorFlow Serving itself in place of ours, as a binary or a container: command line, and configuration
that follows CURRENT."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.server.folder import preferred
from serving.server.limits import Limits

BINARY = "tensorflow_model_server"
IMAGE = "tensorflow/serving:2.21.0"  # as in serving/deploy
EVERY_ADDRESS = ("0.0.0.0", "::")
MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'


def found(host: str) -> str | None:
    """The binary's path, where there is one and it may be used.

    It has no option for the address that it listens on and takes all of them, so that it is used only where
    `host` is all of them too.
    """
    return shutil.which(BINARY) if host in EVERY_ADDRESS else None


def docker() -> str | None:
    """Docker's path, where its daemon answers and has the image. None is fetched without being asked for."""
    path = shutil.which("docker")
    if path is None:
        return None
    try:
        asked = subprocess.run(
            [path, "image", "inspect", IMAGE], check=False, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if asked.returncode == 0 else None


def model_config(
    folder: Path, name: str, labels: Mapping[str, int], every_version: bool, base: str = ""
) -> str:
    """A ModelServerConfig in text form that serves what `mtl serve` would; `base` is where the server finds
    the folder, where that is elsewhere.

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
        name=name, base_path=base or str(folder.resolve()), model_platform="tensorflow"
    )
    if every_version:
        model.model_version_policy.all.SetInParent()
    else:
        model.model_version_policy.specific.versions.extend(sorted({serves, *labels.values()}))
    for label, version in {"stable": serves, **labels}.items():
        model.version_labels[label] = version
    return text_format.MessageToString(config)


@dataclass(frozen=True)
class Runner:
    """How TensorFlow Serving is started.

    Attributes:
      path: of the binary or of docker, which `container` tells apart.
      host, rest_port, grpc_port: where it listens; a binary at every address.
    """

    path: str
    container: bool
    host: str
    rest_port: int
    grpc_port: int

    def base(self, folder: Path, name: str) -> str:
        """The served folder, as the server sees it."""
        return f"/models/{name}" if self.container else str(folder.resolve())

    def command(self, folder: Path, name: str, files: Path, limits: Limits) -> list[str]:
        """The command line; `files` holds models.config and monitoring.config."""
        config = Path("/config") if self.container else files
        flags = [
            f"--rest_api_timeout_in_ms={int(limits.seconds * 1000)}",
            f"--model_config_file={config / 'models.config'}",
            "--model_config_file_poll_wait_seconds=1",
            "--file_system_poll_wait_seconds=1",
            "--allow_version_labels_for_unavailable_models=true",
            f"--monitoring_config_file={config / 'monitoring.config'}",
        ]
        if not self.container:
            return [self.path, f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}", *flags]
        host = f"[{self.host}]" if ":" in self.host else self.host
        ports = ["-p", f"{host}:{self.grpc_port}:8500", "-p", f"{host}:{self.rest_port}:8501"]
        mounts = ["-v", f"{folder.resolve()}:{self.base(folder, name)}:ro", "-v", f"{files}:/config:ro"]
        return [self.path, "run", "--rm", *ports, *mounts, IMAGE, *flags]


def runner(host: str, rest_port: int, grpc_port: int) -> Runner | None:
    """TensorFlow Serving, where it is here: the binary on the PATH, or else Docker with the image. A
    container's ports must be chosen beforehand."""
    if path := found(host):
        return Runner(path, False, host, rest_port, grpc_port)
    if rest_port and grpc_port and (path := docker()):
        return Runner(path, True, host, rest_port, grpc_port)
    return None


def run(
    how: Runner, folder: Path, name: str, labels: Mapping[str, int], every_version: bool, limits: Limits
) -> int:
    """Runs the server until it ends or this process is told to, and gives its exit code."""
    base = how.base(folder, name)
    with tempfile.TemporaryDirectory(prefix="mtl-serve-") as place:
        files = Path(place)
        files.chmod(0o755)  # a container's user is another
        (files / "monitoring.config").write_text(MONITORING)
        config = _write(files, model_config(folder, name, labels, every_version, base))
        process = subprocess.Popen(how.command(folder, name, files, limits))
        before = {
            number: signal.signal(number, lambda *_: process.terminate())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while process.poll() is None:
                time.sleep(0.5)
                try:
                    now = model_config(folder, name, labels, every_version, base)
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
