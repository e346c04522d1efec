"""Sources on servers of this machine that speak the APIs of s3 and gs."""

import errno
import os
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from pipeline.beam_pipeline import beam_pipeline
from pipeline.ingest.errors import DataError, Unreachable
from pipeline.ingest.files import source_digest
from pipeline.ingest.run import ingest
from pipeline.recipe import loads
from pipeline.remote_files import files_for_once, local_files
from pipeline.run import BAD_DATA, OTHER, run
from pipeline.store_errors import told
from tests.proxy import proxy

LOG = "user,item,at,clicked\n" + "".join(
    f"u{i % 7},i{i % 5},{1700000000000 + i},{i % 2}\n" for i in range(40)
)
ITEMS = "item,price\n" + "".join(f"i{i},{i}.5\n" for i in range(5))


def recipe_of(log, items="items.csv", private=False, beam=None):
    return {
        "version": 1,
        "name": "shop",
        "sources": {
            "log": {
                "files": log,
                "columns": {
                    "user": {"type": "string", "private": private},
                    "item": "string",
                    "at": "time",
                    "clicked": {"type": "int", "known": "after"},
                },
            },
            "catalogs": {
                "items": {"files": items, "key": "item", "columns": {"item": "string", "price": "float"}}
            },
        },
        "roles": {"user": "user", "time": "at"},
        "features": {"item": {"kind": "categorical"}, "price": {"kind": "numeric"}},
        "tasks": {"click": {"kind": "binary", "label": "clicked"}},
        "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
        "model": {"architecture": {"name": "hard_sharing"}},
        "weighting": {"name": "equal"},
        "gates": "none",
        "beam": beam or {},
    }


def load(*args, **named):
    return loads(yaml.safe_dump(recipe_of(*args, **named)))


@pytest.fixture
def bucket(store):
    """Its URI."""
    name = f"shop-{uuid.uuid4().hex}"
    store.create(name)
    for key, text in (("logs/a b.csv", LOG), ("logs/old/b.csv", LOG), ("items.csv", ITEMS), ("logs/", "")):
        store.put(name, key, text.encode())
    return f"{store.scheme}://{name}"


of_s3 = pytest.mark.parametrize("store", ["s3"], indirect=True)
of_gs = pytest.mark.parametrize("store", ["gs"], indirect=True)


class Closed(BaseHTTPRequestHandler):
    """A bucket that asks for credentials."""

    def do_GET(self):
        self.send_error(401)

    def log_message(self, *given):
        pass


# whose credentials a message says that those were
SAID = {
    "s3": "the machine's role; set here: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
    "gs": "or the machine's role; set here: GOOGLE_APPLICATION_CREDENTIALS)",
    "hdfs": "the user's name in beam.options.hdfs_user",
}


@pytest.fixture
def folders(tmp_path):
    found = tmp_path / "input", tmp_path / "home"
    for folder in found:
        folder.mkdir()
    return found


def test_what_is_there_is_read_as_files_of_this_machine_are(bucket, folders):
    input_dir, home = folders
    (input_dir / "items.csv").write_text(ITEMS)
    recipe = load(f"{bucket}/logs/*.csv")
    with local_files(recipe, input_dir, home) as there:
        assert list(source_digest(recipe, there)["log"]) == [f"{bucket}/logs/a b.csv"]
        counts = ingest(recipe, there, home / "there", beam_pipeline(recipe), for_training=False)
    (input_dir / "a b.csv").write_text(LOG)
    recipe = load("a b.csv")
    with local_files(recipe, input_dir, home) as here:
        assert here == input_dir
        same = ingest(recipe, here, home / "here", beam_pipeline(recipe), for_training=False)
    assert counts.read == same.read == 40 and counts.catalogs == same.catalogs
    assert counts.rows_written == same.rows_written and counts.matched == same.matched


def test_only_what_changed_is_fetched_again(bucket, folders, store):
    input_dir, home = folders
    recipe = load(f"{bucket}/logs/**", f"{bucket}/items.csv")
    name = bucket.rpartition("/")[2]
    kept = home / "sources" / f"{store.scheme}:" / name
    log, old, items = kept / "logs" / "a b.csv", kept / "logs" / "old" / "b.csv", kept / "items.csv"
    told = []
    with local_files(recipe, input_dir, home, lambda *said: told.append(said)):
        assert log.read_text() == old.read_text() == LOG and items.read_text() == ITEMS
    assert told[-1][1] == 1.0 and told[-1][0].startswith("fetching 3 files")
    before = {path: path.stat().st_ino for path in (log, items)}
    same_size = ITEMS.replace("0.5", "9.5").encode()
    store.put(name, "items.csv", same_size)
    store.delete(name, "logs/old/b.csv")
    with local_files(recipe, input_dir, home):
        assert not old.exists() and "9.5" in items.read_text()
        assert log.stat().st_ino == before[log] and items.stat().st_ino != before[items]


def test_nothing_raw_stays_where_a_column_is_private(bucket, folders):
    input_dir, home = folders
    recipe = load(f"{bucket}/logs/*.csv", f"{bucket}/items.csv", private=True)
    with local_files(recipe, input_dir, home) as there:
        assert source_digest(recipe, there)["log"]
        assert there.stat().st_mode & 0o077 == 0
    assert not list(home.iterdir())
    with files_for_once(load(f"{bucket}/logs/*.csv", f"{bucket}/items.csv"), input_dir) as there:
        assert list(there.iterdir())
    assert not there.exists() and not list(home.iterdir())


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("{}-absent/*.csv", "sources.log.files: .*-absent/[*].csv: there is no bucket shop-.*-absent"),
        ("{}/log/*.csv", "sources.log.files: no file matches .*://shop-.*/log/[*].csv"),
    ],
)
def test_what_cannot_be_read_is_said(bucket, folders, log, said):
    input_dir, home = folders
    beam = {"options": {"hdfs_host": "namenode", "hdfs_port": 9870, "hdfs_user": "someone"}}
    with (
        pytest.raises(DataError, match=said),
        local_files(load(log.format(bucket), beam=beam), input_dir, home),
    ):
        pass


@of_s3
def test_who_has_no_credentials_is_told_at_once(bucket, folders, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with (
        pytest.raises(DataError, match="no credentials for s3 in the environment: AWS_ACCESS_KEY_ID and"),
        local_files(load(f"{bucket}/logs/*.csv"), *folders),
    ):
        pass


@of_gs
def test_who_has_none_for_gs_is_told_at_once_but_of_public_buckets(bucket, folders):
    closed = HTTPServer(("127.0.0.1", 0), Closed)
    threading.Thread(target=closed.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{closed.server_port}")
        with (
            pytest.raises(DataError, match="no credentials for gs in the environment, and bucket shop-.*"),
            local_files(load(f"{bucket}/logs/*.csv"), *folders),
        ):
            pass
    closed.shutdown()
    closed.server_close()
    (folders[0] / "items.csv").write_text(ITEMS)
    with local_files(load(f"{bucket}/logs/*.csv"), *folders) as there:
        assert source_digest(load(f"{bucket}/logs/*.csv"), there)["log"]


@of_s3
def test_a_server_that_does_not_answer_is_named(bucket, folders, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    beam = {"options": {"s3_endpoint_url": "http://127.0.0.1:9"}}  # which goes before the environment's
    with (
        pytest.raises(Unreachable, match="s3 cannot be reached: .*http://127.0.0.1:9"),
        local_files(load(f"{bucket}/logs/*.csv", beam=beam), *folders),
    ):
        pass
    recipe = (
        folders[0] / "recipe.yaml"
    )  # and a schedule starts such a run again, as it does not one of bad data
    recipe.write_text(yaml.safe_dump(recipe_of(f"{bucket}/logs/*.csv", beam=beam)))
    assert run(recipe, folders[0], folders[1]) == OTHER


@pytest.mark.parametrize("store", ["s3", "gs", "hdfs"], indirect=True)
@pytest.mark.parametrize("when", ["at once", "after the first file"])
def test_credentials_that_are_refused_are_told_as_such(store, bucket, refusing, folders, when):
    """And another start reads on, once they are good."""
    kept = folders[1] / "sources" / f"{store.scheme}:" / bucket.rpartition("/")[2]
    recipe = load(f"{bucket}/logs/*.csv", f"{bucket}/items.csv", beam={"options": store.options})
    if store.scheme == "s3":  # which does not say 403 to what was good a minute ago
        refusing.refusal = 400, "<Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>"
    refusing.refused = lambda request: when == "at once" or b"items.csv" in request
    with pytest.raises(DataError) as caught, local_files(recipe, *folders):
        pass
    said = str(caught.value)
    assert not isinstance(caught.value, Unreachable)  # which would be tried again
    assert f"{store.scheme} refuses the credentials that it was given: " in said
    assert SAID[store.scheme] in said
    assert f"{bucket}/" in said and "something" not in said
    assert not (kept / "items.csv").exists() and not list(folders[1].rglob("*.part"))
    before = {path: path.stat().st_ino for path in kept.rglob("*.csv")}
    refusing.refused = lambda request: False
    with local_files(recipe, *folders):
        assert (kept / "items.csv").read_text() == ITEMS and (kept / "logs/a b.csv").read_text() == LOG
        assert all(path.stat().st_ino == inode for path, inode in before.items())


@of_s3
def test_a_read_that_is_cut_again_and_again_is_told_soon(store, bucket, folders, monkeypatch, s3_server):
    """Beam would try for eight minutes."""
    store.put(bucket.rpartition("/")[2], "logs/long.csv", os.urandom(1_000_000))
    monkeypatch.setattr("pipeline.s3.SECONDS", 0.5)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with proxy(s3_server) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        between.left = 500_000
        with (
            pytest.raises(
                Unreachable, match="^sources: s3://.*/long.csv: the connection was lost, run again"
            ),
            local_files(load(f"{bucket}/logs/long.csv"), *folders),
        ):
            pass
        assert not list(folders[1].rglob("*long*"))


@pytest.mark.parametrize("store", ["s3", "hdfs"], indirect=True)
def test_a_store_that_is_busy_refuses_nobody(store, bucket, refusing, folders, monkeypatch):
    monkeypatch.setattr("pipeline.s3.SECONDS", 0.5)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    refusing.refusal = {
        "s3": (503, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"),
        "hdfs": (403, '{"RemoteException": {"exception": "StandbyException", "message": "standby"}}'),
    }[store.scheme]
    refusing.refused = lambda request: True
    recipe = load(f"{bucket}/logs/*.csv", beam={"options": store.options})
    with (
        pytest.raises(Unreachable, match="the store cannot answer now, run again: "),
        local_files(recipe, *folders),
    ):
        pass


def test_what_a_lost_connection_became_is_told_as_one():
    """Beam's client of s3 asks the error for a status that it has not, and fails at that."""
    exceptions = pytest.importorskip("botocore.exceptions")

    def fails():
        try:
            raise exceptions.ConnectionClosedError(endpoint_url="http://store/logs/a.csv")
        except exceptions.HTTPClientError as error:
            error.response.get("ResponseMetadata")

    with pytest.raises(Unreachable) as caught, told("sources", "s3://shop/logs/a.csv"):
        fails()
    assert str(caught.value) == (
        "sources: s3://shop/logs/a.csv: the connection was lost, run again: Connection was closed before we "
        'received a valid response from endpoint URL: "http://store/logs/a.csv".'
    )
    with pytest.raises(DataError) as caught, told("sources", "s3://shop/logs/a.csv"):
        raise KeyError("no such key")
    assert not isinstance(caught.value, Unreachable)
    with pytest.raises(OSError, match="No space left"), told("sources", "s3://shop/logs/a.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@of_s3
def test_a_run_without_its_sources_ends_as_one_with_bad_data(bucket, tmp_path, capfd):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_of("s3://absent/*.csv")))
    assert run(tmp_path / "recipe.yaml", tmp_path, tmp_path / "output") == BAD_DATA
    assert "failed at inputs: sources.log.files: s3://absent/*.csv: there is no bucket absent" in " ".join(
        capfd.readouterr().out.split()
    )
    [page] = (tmp_path / "output").glob("shop/runs/*/report/index.html")
    assert "there is no bucket absent" in page.read_text()
    assert os.listdir(tmp_path / "output" / "shop" / "sources")
