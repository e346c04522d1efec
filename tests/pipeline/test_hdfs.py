"""Sources on hdfs, and a pushed version copied there, by a server of this machine that speaks WebHDFS."""

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner

from pipeline import publish as publishing
from pipeline import reachable
from pipeline.cli import mtl
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import source_digest
from pipeline.publish import CannotPublish, publish
from pipeline.recipe import loads
from pipeline.recipe.dump import resolved
from pipeline.remote_files import local_files
from serving import releases

LOG = b"user,price,clicked\n1,2.5,0\n2,1.5,1\n"


@pytest.fixture
def load(smallest_recipe):
    """A recipe whose log is elsewhere, as a file system on a port is reached."""

    def _load(port, *files):
        recipe = yaml.safe_load(smallest_recipe)
        recipe["sources"]["log"]["files"] = list(files)
        options = {"hdfs_host": "127.0.0.1", "hdfs_port": port, "hdfs_user": "someone"}
        return loads(yaml.safe_dump(recipe | {"beam": {"options": options}}))

    return _load


@pytest.fixture
def folders(tmp_path):
    found = tmp_path / "input", tmp_path / "home"
    for folder in found:
        folder.mkdir()
    return found


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("logs/*.csv", {"logs/a b.csv"}),
        ("logs/*", {"logs/a b.csv"}),  # and not the folder beside it
        ("logs/*/*.csv", {"logs/old/b.csv"}),
        ("logs/**", {"logs/a b.csv", "logs/old/b.csv", "logs/old/older/c.csv"}),
        ("logs/old/b.csv", {"logs/old/b.csv"}),
    ],
)
def test_a_pattern_finds_files_at_any_depth(hdfs, load, folders, pattern, names):
    for name in ("logs/a b.csv", "logs/old/b.csv", "logs/old/older/c.csv", "other/d.csv"):
        hdfs.put(f"/{name}", LOG)
    recipe = load(hdfs.server_port, f"hdfs://{pattern}")
    with local_files(recipe, *folders) as there:
        assert set(source_digest(recipe, there)["log"]) == {f"hdfs://{name}" for name in names}
        assert all((there / "hdfs:" / name).read_bytes() == LOG for name in names)


def test_only_what_changed_is_fetched_again(hdfs, load, folders):
    hdfs.put("/logs/a.csv", LOG)
    hdfs.put("/logs/b.csv", LOG)
    recipe = load(hdfs.server_port, "hdfs://logs/*.csv")
    with local_files(recipe, *folders) as there:
        a, b = there / "hdfs:/logs/a.csv", there / "hdfs:/logs/b.csv"
        before = a.stat().st_ino
    hdfs.put("/logs/b.csv", LOG.replace(b"2.5", b"9.5"))
    with local_files(recipe, *folders):
        assert a.stat().st_ino == before and b"9.5" in b.read_bytes()


def test_what_cannot_be_read_is_said(hdfs, load, folders, monkeypatch):
    for pattern in ("hdfs://logs/*.csv", "hdfs://logs/a.csv"):
        recipe = load(hdfs.server_port, pattern)
        with (
            pytest.raises(DataError, match="sources.log.files: no file matches"),
            local_files(recipe, *folders),
        ):
            pass
    recipe = load(9, "hdfs://logs/*.csv")
    with pytest.raises(DataError, match="hdfs cannot be reached: .*port=9"), local_files(recipe, *folders):
        pass
    monkeypatch.setattr(reachable, "find_spec", lambda package: None)
    with (
        pytest.raises(DataError, match="hdfs:// needs the package hdfs, .*: `make setup EXTRAS=hdfs`"),
        local_files(recipe, *folders),
    ):
        pass


@pytest.fixture
def home(tmp_path):
    """A recommender's folder with a version that serves."""
    for name, content in (
        ("saved_model.pb", b"graph"),
        ("variables/variables.index", b"index"),
        ("variables/variables.data-00000-of-00001", b"weights" * 100_000),
        ("assets/names.txt.gz", b""),
    ):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    releases.push(tmp_path / "model", tmp_path / "home/serving", {"run": "one"}, "")
    return tmp_path / "home"


def test_a_version_appears_whole(hdfs, home, monkeypatch):
    version = home / "serving/1"
    wanted = {f"/m/1/{p.relative_to(version)}": p.read_bytes() for p in version.rglob("*") if p.is_file()}
    options = PipelineOptions(
        hdfs_host="127.0.0.1", hdfs_port=hdfs.server_port, hdfs_user="someone", runner="DirectRunner"
    )
    write = publishing._write

    def cut_off(file, to):
        write(file, to)
        if to.endswith("saved_model.pb.part"):
            hdfs.files["/m/1/saved_model.pb.part"] = b"gra"
            raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "_write", cut_off)
    with pytest.raises(KeyboardInterrupt):
        publish(home / "serving", "hdfs://m", options)
    assert "/m/1/saved_model.pb" not in hdfs.files and len(hdfs.files) == len(wanted)
    monkeypatch.setattr(publishing, "_write", write)
    assert publish(home / "serving", "hdfs://m", options) == (1, True)
    assert hdfs.files == wanted
    assert publish(home / "serving", "hdfs://m", options) == (1, False)
    hdfs.put("/m/1/assets.extra/push.json", b"of another")
    with pytest.raises(CannotPublish, match="has another model under this number"):
        publish(home / "serving", "hdfs://m", options)


def test_the_command_asks_where_the_newest_run_s_recipe_says(hdfs, load, home):
    (home / "latest").mkdir()
    recipe = load(hdfs.server_port, "log.csv")
    (home / "latest/recipe.yaml").write_text(resolved(recipe))
    found = CliRunner().invoke(mtl, ["models", "publish", str(home), "hdfs://m"])
    assert (found.exit_code, found.output) == (0, "hdfs://m: version 1 is there now\n")
    assert hdfs.files["/m/1/saved_model.pb"] == b"graph"
