import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

# before TensorFlow is imported anywhere: quiet, and the same thread counts in every test
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]
ONE_PROCESS = "tests/e2e/days/"  # whose files share runs


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`--dist loadfile`, with a folder that counts as one file."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return ONE_PROCESS if nodeid.startswith(ONE_PROCESS) else super()._split_scope(nodeid)

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def smallest_recipe() -> str:
    """A recipe of one feature and one task, over `log.csv`."""
    return """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns: {user: int, price: float, clicked: {type: int, known: after}}
roles: {}
features: {price: {kind: numeric}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


@pytest.fixture(scope="session")
def s3_server(root):
    """The address of an S3 server on this machine, empty at first (`make s3` installs it)."""
    python = root / ".venv-s3" / "bin" / "python"
    if not python.exists():
        pytest.skip("`make s3` installs an S3 server in an environment of its own")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # without what points Python to this environment's packages
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment, stdout=quiet, stderr=quiet,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def s3(s3_server, monkeypatch):
    """boto3's client of that server, which the environment names to everything else too."""
    boto3 = pytest.importorskip("boto3")
    for name, value in (
        ("AWS_ENDPOINT_URL", s3_server),
        ("AWS_ACCESS_KEY_ID", "someone"),
        ("AWS_SECRET_ACCESS_KEY", "something"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_SHARED_CREDENTIALS_FILE", os.devnull),
        ("AWS_CONFIG_FILE", os.devnull),
    ):
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that is not part of the project; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MTL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder} (MTL_TEST_DATA names another folder)")
    return folder
