import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from benchmarks.workers import free_ports
from tests.accounts import service_account
from tests.proxy import proxy
from tests.webhdfs import WebHdfs

# before TensorFlow is imported anywhere: quiet, and the same thread counts in every test
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# what is left among temporary files (Beam and AutoGraph do) goes with the session; pytest's stay where they were
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
TEMPORARY = tempfile.TemporaryDirectory(prefix="mtl-tests-")
tempfile.tempdir = os.environ["TMPDIR"] = TEMPORARY.name

# a shell that starts the tests in the background has them ignore Ctrl-C, and all that they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# the same examples in every run, however slow the machine: what only chance finds stops no other's change.
# `--hypothesis-profile=search` draws others each time, for who looks for faults
_CALM = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("same", derandomize=True, database=None, **_CALM)
hypothesis.settings.register_profile("search", **_CALM)
hypothesis.settings.load_profile("same")

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


@contextlib.contextmanager
def _serving(command: Callable[[int], list[str]]) -> Iterator[str]:
    """The address of a server out of `.venv-s3`, while it runs on a port of this machine."""
    python = ROOT / ".venv-s3" / "bin" / "python"
    if not python.exists():
        pytest.skip("`make s3` installs servers of s3 and gs in an environment of their own")
    [port] = free_ports(1)
    # without what points Python to this environment's packages
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([python, "-m", *command(port)], env=environment, stdout=quiet, stderr=quiet)
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


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server on this machine, empty at first."""
    with _serving(lambda port: ["moto.server", "-H", "127.0.0.1", "-p", str(port)]) as address:
        yield address


@pytest.fixture(scope="session")
def gs_server():
    """The address of a server on this machine that speaks the API of Google Cloud Storage, empty at first."""
    begin = ["gcp_storage_emulator", "start", "--in-memory", "--host", "127.0.0.1", "--port"]
    with _serving(lambda port: [*begin, str(port)]) as address:
        yield address


@pytest.fixture
def gs(gs_server, monkeypatch):
    """Google's client of that server, which the environment names to all; without credentials."""
    from apache_beam.internal.gcp.auth import _Credentials
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_server)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", os.devnull)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    # Beam looks for credentials for half a minute, and then does without
    monkeypatch.setattr(_Credentials, "_credentials_init", True)
    monkeypatch.setattr(_Credentials, "_credentials", None)
    return storage.Client.create_anonymous_client()


@pytest.fixture
def gs_account(gs, tmp_path, monkeypatch):
    """Credentials of gs in the environment; the values are what is secret of them."""
    from apache_beam.internal.gcp.auth import _Credentials

    with service_account(tmp_path / "account.json") as secrets:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        monkeypatch.setenv(
            "HTTPS_PROXY", "http://127.0.0.1:9"
        )  # Google's client asks it where it may be used
        monkeypatch.setattr(_Credentials, "_credentials_init", False)
        yield secrets


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


@pytest.fixture
def hdfs():
    """A server of this machine that speaks WebHDFS, empty at first."""
    pytest.importorskip("hdfs", reason="`make setup EXTRAS=hdfs` installs it")
    with WebHdfs() as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


class S3:
    """Buckets as `Gs` has them."""

    scheme, options = "s3", {}

    def __init__(self, client):
        self._client = client

    @property
    def address(self):
        return os.environ["AWS_ENDPOINT_URL"]

    def lead_to(self, address, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)

    def create(self, bucket):
        self._client.create_bucket(Bucket=bucket)

    def put(self, bucket, name, content):
        self._client.put_object(Bucket=bucket, Key=name, Body=content)

    def delete(self, bucket, name):
        self._client.delete_object(Bucket=bucket, Key=name)

    def files(self, bucket):
        found = self._client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {o["Key"]: self._client.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in found}


class Gs:
    """Buckets by name: made, written to and read by the store's own client, and not by Beam.

    `options` are Beam's, which lead to the store where the environment does not; `lead_to` has another
    address, of a proxy say, take the place of `address`.
    """

    scheme, options = "gs", {}

    def __init__(self, client):
        self._client = client

    @property
    def address(self):
        return os.environ["STORAGE_EMULATOR_HOST"]

    def lead_to(self, address, monkeypatch):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)

    def create(self, bucket):
        self._client.create_bucket(bucket)

    def put(self, bucket, name, content):
        self._client.bucket(bucket).blob(name).upload_from_string(content)

    def delete(self, bucket, name):
        self._client.bucket(bucket).blob(name).delete()

    def files(self, bucket):
        return {blob.name: blob.download_as_bytes() for blob in self._client.list_blobs(bucket)}


class Hdfs:
    """Folders of a server's root as buckets."""

    scheme = "hdfs"

    def __init__(self, server):
        self._server = server
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.lead_to(self.address, None)

    def lead_to(self, address, monkeypatch):
        host, _, port = address.removeprefix("http://").partition(":")
        self.options = {"hdfs_host": host, "hdfs_port": int(port), "hdfs_user": "someone"}

    def create(self, bucket):
        """A folder is there while a file is in it."""

    def put(self, bucket, name, content):
        self._server.put(f"/{bucket}/{name}", content)

    def delete(self, bucket, name):
        self._server.files.pop(f"/{bucket}/{name}")

    def files(self, bucket):
        found = self._server.files.items()
        return {n.removeprefix(f"/{bucket}/"): c for n, c in found if n.startswith(f"/{bucket}/")}


@pytest.fixture(params=[S3.scheme, Gs.scheme])
def store(request):
    """Buckets of either kind, or where a test asks for it of hdfs, on a server of this machine."""
    kind = {of.scheme: of for of in (S3, Gs, Hdfs)}[request.param]
    return kind(request.getfixturevalue(request.param))


# as each answers to credentials that may not do what was asked
REFUSALS = {
    "s3": "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    "gs": '{"error": {"code": 403, "message": "ranker does not have access to the object"}}',
    "hdfs": '{"RemoteException": {"exception": "AccessControlException", "message": "Permission denied"}}',
}


@pytest.fixture
def refusing(store, request, monkeypatch):
    """A proxy before the store, by which everything reaches it; credentials are in the environment."""
    if store.scheme == "gs":
        request.getfixturevalue("gs_account")
    with proxy(store.address) as between:
        between.refusal = 403, REFUSALS[store.scheme]
        store.lead_to(between.address, monkeypatch)
        yield between


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that is not part of the project; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MTL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder} (MTL_TEST_DATA names another folder)")
    return folder
