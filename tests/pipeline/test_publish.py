"""A pushed version on servers of this machine that speak the APIs of s3 and gs."""

import os
import uuid
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner

from pipeline import publish as publishing
from pipeline.cli import mtl
from pipeline.publish import CannotPublish, publish
from serving import releases
from tests.proxy import proxy

OPTIONS = PipelineOptions(["--runner=DirectRunner"])


@pytest.fixture
def place(store):
    name = f"models-{uuid.uuid4().hex}"
    store.create(name)
    return name


def pushed(folder: Path, model: Path, weights: bytes, run: str, baseline: str = "") -> Path:
    for name, content in (
        ("saved_model.pb", b"graph"),
        ("variables/variables.index", b"index"),
        ("variables/variables.data-00000-of-00001", weights),
        ("assets/names.txt.gz", b"not compressed once more"),
    ):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)
    return releases.push(model, folder, {"run": run}, baseline).version


def test_a_version_appears_whole(tmp_path, store, place, monkeypatch):
    version = pushed(tmp_path / "serving", tmp_path / "model", b"weights", "one")
    uri = f"{store.scheme}://{place}/demo"
    write = publishing._write
    written = []

    def interrupted(file, to):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(to)
        write(file, to)

    monkeypatch.setattr(publishing, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "serving", uri, OPTIONS)
    assert len(store.files(place)) == 3 and "demo/1/saved_model.pb" not in store.files(place)
    written.clear()

    def recorded(file, to):
        written.append(to)
        write(file, to)

    monkeypatch.setattr(publishing, "_write", recorded)
    assert publish(tmp_path / "serving", uri, OPTIONS) == (1, True)
    files = {f"demo/1/{p.relative_to(version)}": p.read_bytes() for p in version.rglob("*") if p.is_file()}
    assert store.files(place) == files and "demo/1/assets/names.txt.gz" in files
    assert len(written) == len(files) and written[-1] == f"{uri}/1/saved_model.pb"
    assert publish(tmp_path / "serving", uri, OPTIONS) == (1, False)


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_connection_that_is_lost_halfway_is_told_and_the_next_call_goes_on(
    tmp_path, store, place, s3_server, monkeypatch
):
    version = pushed(tmp_path / "serving", tmp_path / "model", os.urandom(3_000_000), "one")
    uri = f"s3://{place}/demo"
    with proxy(s3_server) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        between.left = 1_000_000
        with pytest.raises(CannotPublish, match=f"^publish: {uri}/1: the connection was lost, run") as lost:
            publish(tmp_path / "serving", uri, OPTIONS)
        assert lost.value.again
        assert "demo/1/saved_model.pb" not in store.files(place)
        between.left = None
        assert publish(tmp_path / "serving", uri, OPTIONS) == (1, True)
    files = {f"demo/1/{p.relative_to(version)}": p.read_bytes() for p in version.rglob("*") if p.is_file()}
    assert store.files(place) == files


@pytest.mark.parametrize("store", ["s3", "gs", "hdfs"], indirect=True)
def test_credentials_that_are_refused_halfway_leave_no_version_and_the_next_call_goes_on(
    tmp_path, store, place, refusing
):
    version = pushed(tmp_path / "serving", tmp_path / "model", b"weights", "one")
    uri, options = f"{store.scheme}://{place}/demo", PipelineOptions(runner="DirectRunner", **store.options)
    refusing.refused = lambda request: b"saved_model.pb" in request and request.startswith((b"PUT", b"POST"))
    with pytest.raises(CannotPublish, match=f"^publish: {uri}/1: {store.scheme} refuses the cred") as refused:
        publish(tmp_path / "serving", uri, options)
    assert not refused.value.again
    files = {f"demo/1/{p.relative_to(version)}": p.read_bytes() for p in version.rglob("*") if p.is_file()}
    last = files.pop("demo/1/saved_model.pb")
    assert store.files(place) == files
    refusing.refused = lambda request: False
    assert publish(tmp_path / "serving", uri, options) == (1, True)
    assert store.files(place) == files | {"demo/1/saved_model.pb": last}


def test_the_command_and_what_it_refuses(tmp_path, store, place):
    home = tmp_path / "demo"
    pushed(home / "serving", tmp_path / "model", b"weights", "one")

    def go(uri, of=home):
        found = CliRunner().invoke(mtl, ["models", "publish", str(of), uri])
        return found.exit_code, " ".join(found.output.split())

    uri = f"{store.scheme}://{place}/demo"
    assert go(uri) == (0, f"{uri}: version 1 is there now")
    assert go(uri) == (0, f"{uri}: version 1 was there already")
    pushed(tmp_path / "other" / "serving", tmp_path / "another", b"others", "two")
    code, said = go(uri, tmp_path / "other")
    assert code == 1 and "has another model under this number" in said
    code, said = go(f"{store.scheme}://absent/demo")
    assert code == 1 and "there is no bucket absent" in said
    code, said = go("/models")
    assert code == 2 and "/models is no place on s3, gs or hdfs" in said
    code, said = go("s3://me:hush@shop/models")
    assert code == 2 and "has credentials in it" in said and "hush" not in said
    with pytest.raises(CannotPublish, match="no version serves"):
        publish(tmp_path / "empty", f"{store.scheme}://{place}/demo", OPTIONS)
