"""A recommender's folder with eight runs, their artifacts and the metadata of both, as a run leaves them."""

import json
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.report.facts import RunFacts
from pipeline.report.write import write_report
from serving import releases, versions

# a run a day; what each made anew, and of which run it has what it did not
DAYS = [f"2026110{day}T020000Z" for day in range(1, 9)]
STATUS = dict(zip(DAYS, ("pushed", "pushed", "refused", "pushed", "refused", "refused", "killed", "refused")))
_SHARED_EXAMPLES = {DAYS[5]: DAYS[4]}  # the data were the day before's


class Metadata:
    """Writes what TFX writes, of two steps."""

    def __init__(self, home: Path):
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(home / "metadata.sqlite")
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store, self._home = metadata_store.MetadataStore(config), home
        self._kind = self._store.put_artifact_type(mlmd.ArtifactType(name="Made"))
        self._run = self._store.put_context_type(mlmd.ContextType(name="pipeline_run"))

    def run(self, name: str) -> int:
        return self._store.put_contexts([mlmd.Context(type_id=self._run, name=name)])[0]

    def make(self, run: int, step: str, output: str, number: int, whole: bool = True) -> int:
        folder = self._home / "artifacts" / step / output / str(number)
        folder.mkdir(parents=True)
        (folder / "content").write_bytes(b"x" * 10_000)
        state = mlmd.Artifact.LIVE if whole else mlmd.Artifact.PENDING
        [made] = self._store.put_artifacts([mlmd.Artifact(type_id=self._kind, uri=str(folder), state=state)])
        self.take(run, made)
        return made

    def take(self, run: int, made: int) -> None:
        self._store.put_attributions_and_associations(
            [mlmd.Attribution(artifact_id=made, context_id=run)], []
        )

    def states(self) -> dict[str, int]:
        """Path below artifacts → state."""
        return {a.uri.partition("/artifacts/")[2]: a.state for a in self._store.get_artifacts()}


@pytest.fixture
def home(tmp_path):
    """`output/shop`: versions 1, 2 and 3 of the runs of days 1, 2 and 4; day 7 was killed in training."""
    home = tmp_path / "output" / "shop"
    home.mkdir(parents=True)
    (home / ".lock").touch()
    metadata, examples = Metadata(home), {}
    for number, name in enumerate(DAYS, 1):
        run_dir = home / "runs" / name
        run_dir.mkdir(parents=True)
        (run_dir / "recipe.yaml").write_text("name: shop")
        run = metadata.run(name)
        if name in _SHARED_EXAMPLES:
            examples[name] = examples[_SHARED_EXAMPLES[name]]
            metadata.take(run, examples[name])
        else:
            examples[name] = metadata.make(run, "Ingest", "examples", number)
        killed = STATUS[name] == "killed"
        metadata.make(run, "Trainer", "model", number, whole=not killed)
        pushed = None
        if killed:
            temporary = home / "artifacts" / "Trainer" / ".system" / "executor_execution" / "7"
            temporary.mkdir(parents=True)
            (temporary / "half").write_bytes(b"x" * 5_000)
            continue
        if STATUS[name] == "pushed":
            pushed = _push(tmp_path, home, name)
        facts = RunFacts(
            "shop", name, STATUS[name], "because", pushed is not None, pushed, seconds={"Ingest": 2}
        )
        write_report(facts, run_dir / "report")
        (home / "latest").unlink(missing_ok=True)
        (home / "latest").symlink_to(Path("runs", name))
    return home


@pytest.fixture
def states():
    """Reads the states of a recommender's artifacts."""
    return lambda home: Metadata(home).states()


def _push(tmp_path: Path, home: Path, run: str) -> str:
    model = tmp_path / "model"
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (model / file).parent.mkdir(parents=True, exist_ok=True)
        (model / file).write_text(json.dumps([file, run]))
    served = home / "serving"
    now = str(versions.pointed(served) or "")
    return str(releases.push(model, served, {"run": run}, now).version)
