"""The configuration and command line of the real server, as a binary and as a container, up to starting it:
none is at hand here."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server import binary
from serving.server.limits import Limits
from serving.server.run import serve


@pytest.fixture
def folder(tmp_path):
    for version in ("1", "2", "3"):
        (tmp_path / "served" / version).mkdir(parents=True)
        (tmp_path / "served" / version / "saved_model.pb").write_bytes(b"")
    (tmp_path / "served" / "CURRENT").write_text("2")
    return tmp_path / "served"


def parsed(text):
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config[0]


def test_the_configuration_pins_what_serves(folder):
    model = parsed(binary.model_config(folder, "demo", {"canary": 3}, False))
    assert (model.name, model.base_path, model.model_platform) == ("demo", str(folder), "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [2, 3]
    assert dict(model.version_labels) == {"stable": 2, "canary": 3}
    assert parsed(binary.model_config(folder, "demo", {}, True)).model_version_policy.HasField("all")


def test_without_a_version_there_is_nothing_to_configure(tmp_path):
    with pytest.raises(ValueError, match="no version that is whole"):
        binary.model_config(tmp_path, "demo", {}, False)


def test_the_binary_is_started_follows_current_and_ends_with_us(folder, tmp_path):
    """A script in the binary's place writes down what it was given: everything up to the binary itself."""
    given, bin_ = tmp_path / "given", tmp_path / "bin"
    bin_.mkdir()
    script = bin_ / binary.BINARY
    script.write_text(
        f"#!{sys.executable}\nimport sys, time, shutil\n"
        "config = next(a for a in sys.argv if a.startswith('--model_config_file=')).split('=', 1)[1]\n"
        f"open('{given}.argv', 'w').write('\\n'.join(sys.argv[1:]))\n"
        f"while True:\n    shutil.copy(config, '{given}.config')\n    time.sleep(0.05)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", str(folder), "--name", "demo", "--host", "0.0.0.0"]
        + ["--rest-port", "18501", "--grpc-port", "18500", "--timeout", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )

    def configured(version):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                model = parsed((tmp_path / "given.config").read_text())
                if list(model.model_version_policy.specific.versions) == [version]:
                    return True
            except (OSError, IndexError, text_format.ParseError):
                pass
            time.sleep(0.05)
        return False

    try:
        assert configured(2)
        argv = (tmp_path / "given.argv").read_text().splitlines()
        assert argv[:3] == ["--port=18500", "--rest_api_port=18501", "--rest_api_timeout_in_ms=2000"]
        assert "--model_config_file_poll_wait_seconds=1" in argv
        monitoring = next(a for a in argv if a.startswith("--monitoring_config_file="))
        assert os.path.isfile(monitoring.split("=", 1)[1])
        (folder / "CURRENT").write_text("1")
        assert configured(1)
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, None)  # that of the script, which a signal ended
    assert f"{script} serves; REST: http://127.0.0.1:18501" in said


def test_it_is_not_used_where_it_would_listen_on_more_than_was_asked_for(tmp_path, monkeypatch):
    (tmp_path / binary.BINARY).write_text("#!/bin/sh\n")
    (tmp_path / binary.BINARY).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binary.found("127.0.0.1") is None and binary.found("0.0.0.0")


DOCKER = """#!{python}
import sys
if sys.argv[1:3] == ["image", "inspect"]:
    sys.exit({known} != "yes")
open("{given}", "w").write("\\n".join(sys.argv[1:]))
mount = next(a for a in sys.argv if a.endswith(":/config:ro"))
print(open(mount.split(":")[0] + "/models.config").read(), file=open("{given}.config", "w"))
"""


@pytest.fixture
def with_docker(tmp_path, monkeypatch):
    """`with_docker(known)` puts a script in docker's place, which has the image where that is "yes"."""

    def put(known):
        text = DOCKER.format(python=sys.executable, given=tmp_path / "given", known=repr(known))
        (tmp_path / "docker").write_text(text)
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_a_container_serves_at_one_address_where_docker_has_the_image(folder, tmp_path, with_docker):
    with_docker("yes")
    said = []
    limits = Limits(seconds=2)
    assert serve(folder, "demo", "127.0.0.1", 18501, 18500, {}, False, limits, say=said.append) == 0
    given = (tmp_path / "given").read_text().splitlines()
    assert given[:6] == ["run", "--rm", "-p", "127.0.0.1:18500:8500", "-p", "127.0.0.1:18501:8501"]
    assert f"{folder}:/models/demo:ro" in given and given.index(binary.IMAGE) < given.index(
        "--model_config_file=/config/models.config"
    )
    model = parsed((tmp_path / "given.config").read_text())
    assert model.base_path == "/models/demo" and list(model.model_version_policy.specific.versions) == [2]
    assert said[0].startswith(
        f"{tmp_path / 'docker'} with {binary.IMAGE} serves; REST: http://127.0.0.1:18501"
    )


def test_docker_without_the_image_is_left_alone(with_docker):
    with_docker("no")
    assert binary.runner("127.0.0.1", 18501, 18500) is None


def test_ports_that_are_not_chosen_are_ours(with_docker):
    with_docker("yes")
    assert binary.runner("127.0.0.1", 0, 0) is None


def test_the_image_is_that_of_the_deployment(root):
    compose = yaml.safe_load((root / "serving/deploy/compose.yaml").read_text())
    assert compose["services"]["serving"]["image"] == binary.IMAGE
