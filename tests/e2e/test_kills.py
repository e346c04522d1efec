"""A run that is killed at every step and at random moments ends as one that was not, and no step is done twice."""

import json
import random
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from google.protobuf import text_format
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.cli import mtl
from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.only_one import LOCK, is_busy, only_one
from pipeline.recipe import load
from pipeline.report.form import read
from pipeline.runs.gc import unneeded
from pipeline.spans.store import SpanStore
from serving import releases, versions
from tests.e2e.forked import Forks
from tests.e2e.impressions import BEGIN

pytestmark = pytest.mark.slow
RECIPE = (
    "\nversion: 1\nname: shop"
    + BEGIN
    + """\
      device: string
      click: {type: int, known: after}
  catalogs:
    users: {files: users.csv, key: user_id, columns: {user_id: string, segment: string}}
roles: {user: user_id, item: item_id, request: request_id, time: timestamp}
history: {clicks: {kind: count, by: user_id, where: click == 1, window: 1d}}
features:
  item_id: {kind: categorical}
  device: {kind: categorical}
  segment: {kind: categorical}
  clicks: {kind: numeric}
tasks: {click: {kind: binary, label: click}}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 7}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
training: {batch_size: 256}
evaluation: {replicates: 20}
gates: [{task: click, metric: auc, lower: 0.1, max_drop: 0.9}]
"""
)
FIRST, SECOND = ("training.epochs=1",), ("training.epochs=2",)
ONE, TWO = "2024-03-04", "2024-03-05"
SEED = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    generate(folder / "data", 5_000, 2)
    (folder / "recipe.yaml").write_text(RECIPE)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


@pytest.fixture(scope="module")
def forks(root, place):
    forks = Forks(root, place / "log.txt")
    yield forks
    forks.end()


class Life:
    """Runs in one folder, and what must hold after each of them."""

    def __init__(self, forks, place, output):
        self._forks, self._given = forks, (place / "recipe.yaml", place / "data", output)
        self.home = output / "shop"
        self.kills = 0
        self._left = 0  # the process whose lock was left
        self._served = set()
        self.before = Counter()  # how often steps had ended that other settings make anew

    def go(self, settings, kill=None, **more):
        """A run; what came of it."""
        before = self.finished()
        found = self._forks.run(*self._given, list(settings), kill=kill, **more)
        if self._left and (found["said"] or not found["signal"]):  # else it was killed before it said a word
            assert f"before:  run (process {self._left}, since" in found["said"]
        again = [step for step in found["steps"] if before[step] > self.before[step] and "Push" not in step]
        assert found["lingered"] < 30, found
        self._check(found)
        if kill:
            assert found["signal"] in (0, 9), found["said"][-3000:]  # a time may be past the run's end
            self.kills += found["signal"] == 9
        return found, again

    def finished(self):
        """Step -> how often it did its work and ended, rather than be answered from the cache."""
        return Counter(step for step, state in self._executions() if state == mlmd.Execution.COMPLETE)

    def _executions(self):
        if not (self.home / "metadata.sqlite").is_file():
            return
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(self.home / "metadata.sqlite")
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
        store = metadata_store.MetadataStore(config)
        nodes = store.get_contexts_by_type("node")
        for node in nodes:
            for execution in store.get_executions_by_context(node.id):
                yield node.name.rpartition("shop.")[2], execution.last_known_state

    def _check(self, found):
        if not self.home.is_dir():
            return
        assert not is_busy(self.home)
        if (self.home / LOCK).is_file() and (content := (self.home / LOCK).read_text()):
            holder = json.loads(content)[
                "pid"
            ]  # the one before, where this one was killed before it had the lock
            assert found["signal"] and holder in (found["pid"], self._left)
            self._left = holder
        else:
            self._left = 0
        for report in (self.home / "runs").glob("*/report/metrics.json"):
            read(report)
        if (self.home / "latest").is_symlink():
            assert (self.home / "latest" / "report" / "index.html").is_file()
        if (self.home / "runs").is_dir() and any((self.home / "runs").iterdir()):
            listed = CliRunner().invoke(mtl, ["runs", "list", str(self.home)])
            assert listed.exit_code == 0, listed.output
        served = self.home / "serving"
        for version in versions.versions(served):
            assert releases.damage(served / str(version)) == ""
            if version not in self._served:
                assert tf.saved_model.load(str(served / str(version))).signatures["serving_default"]
                self._served.add(version)
        versions.current(served)


def weights(served):
    """Name -> values, of all variables of what serves."""
    found = tf.train.load_checkpoint(str(versions.current(served) / "variables" / "variables"))
    values = {name: found.get_tensor(name) for name in found.get_variable_to_shape_map()}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def assert_same_model(here, there):
    here, there = weights(here / "serving"), weights(there / "serving")
    assert here.keys() == there.keys()
    for name in here:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)


def told(home):
    """What the newest report says, but for times and names of runs."""
    content = read(home / "latest" / "report" / "metrics.json")
    # the serving check tells times, and a span's schema is told by the run that ingested it
    checked = [gate for gate in content["gates"] if gate["gate"] not in ("serving", "schema")]
    kept = ("status", "rows", "tasks", "slices", "reliability", "serving_model", "training", "span")
    found = {name: content[name] for name in kept}
    found["serving_model"] = bool(found["serving_model"])  # a push that was killed may have used up a number
    if found["span"]:
        for span in found["span"]["spans"]:
            span["ingested"] = None
    if found["training"]:
        found["training"] = _timeless(found["training"])
    return found | {"gates": checked}


def work(life):
    """How often each step did its work, but for those that are never answered from the cache."""
    never = ("Push", "Examples.", "Statistics.")
    return {step: count for step, count in life.finished().items() if not step.startswith(never)}


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if "second" not in k and "per_s" not in k}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def undisturbed(forks, place):
    """Two models one after another; the seconds of each one's steps, and what its report says."""
    life, seen = Life(forks, place, place / "undisturbed"), []
    for settings in (FIRST, SECOND):
        found, _ = life.go(settings)
        assert found["code"] == 0, found["said"][-3000:]
        seen.append((found["steps"], told(life.home)))
    return life, seen


def test_killed_everywhere_it_ends_as_one_that_was_not(forks, place, undisturbed):
    calm, seen = undisturbed
    life, draw = Life(forks, place, place / "killed"), random.Random(SEED)

    def disturbed(settings, kills):
        for kill in kills:
            found, again = life.go(settings, kill)
            assert not again or found["said"].count("(cached)") >= len(again), (kill, found["said"])
            if not found["signal"]:
                assert found["code"] == 0, (kill, found["said"][-3000:])

    def within(steps, step):
        if step == "Push":  # in time it might be past the run's end
            return {"step": step, "calls": draw.randrange(4, 15)}
        return {"step": step, "seconds": draw.uniform(0, steps[step])}

    (steps, first), (later, second) = seen
    assert len(steps) == 12
    disturbed(FIRST, [{"seconds": draw.uniform(0, 2)} for _ in range(2)])
    names = list(steps)
    for step in names:
        if step == "Trainer":
            _out_of_memory(life)
            _two_at_once(life)
        disturbed(FIRST, [{"before": step}, within(steps, step)])
    # before its report; and once metrics.json is there, and the page not
    disturbed(FIRST, [{"after": "Push"}, {"calls": draw.randrange(9)}, {"calls": 10}])
    assert life.go(FIRST)[0]["code"] == 0
    assert told(life.home) == first
    anew = [step for step in names if step in ("Trainer", "Evaluate", "ServingCheck", "Gate", "Push")]
    ended = life.finished()
    life.before.update({step: ended[step] for step in anew})
    disturbed(SECOND, [within(later, step) for step in anew])
    disturbed(SECOND, [{"after": "Push"}])
    assert life.go(SECOND)[0]["code"] == 0
    assert told(life.home) == second

    assert life.kills >= 30
    assert work(life) == work(calm)
    assert_same_model(life.home, calm.home)
    nothing = life.go(SECOND)[0]
    assert nothing["code"] == 0 and "nothing to do" in nothing["said"]
    _tidy(life)


def _out_of_memory(life):
    found, _ = life.go(FIRST, memory={"step": "Trainer", "more": 100 << 20})
    assert found["code"] == 1 or found["signal"], found["said"][-3000:]
    if found["code"] == 1:
        assert "failed at Trainer" in found["said"] and "memory" in found["said"].lower()


def _two_at_once(life):
    files = sorted(path for path in life.home.rglob("*") if path.name != LOCK)
    with only_one(life.home, "run", lambda said: None):
        found = life._forks.run(*life._given, list(FIRST))
    life._left = 0  # it was told of to this process
    assert "Busy: another run (process" in found["said"]
    assert sorted(path for path in life.home.rglob("*") if path.name != LOCK) == files


def _tidy(life):
    """What was left half-done is found by gc, and goes."""
    gone = unneeded(life.home, 1)
    assert gone.runs and all(not artifact.whole for artifact in gone.artifacts if artifact.step == "Ingest")
    cleaned = CliRunner().invoke(mtl, ["runs", "gc", str(life.home), "--keep", "1"])
    assert cleaned.exit_code == 0, cleaned.output
    left = unneeded(life.home, 1)
    assert not left.artifacts and not left.stray and not left.leftovers
    assert releases.damage(versions.current(life.home / "serving")) == ""


def test_spans_killed_between_ingestion_and_training_are_not_ingested_again(forks, place):
    calm, life = (Life(forks, place, place / f"spans-{name}") for name in ("undisturbed", "killed"))
    for span in (ONE, TWO):
        assert calm.go(FIRST, span=span)[0]["code"] == 0
    for span, kills in (
        (ONE, [{"step": f"Ingest.{ONE}", "seconds": 0.5}, {"after": f"DataGate.{ONE}"}]),
        (
            TWO,
            [
                {"before": f"StatisticsGen.{TWO}"},
                {"after": f"DataGate.{TWO}"},
                {"before": "Window"},
                {"step": "Trainer", "seconds": 2},
                {"after": "Push"},
            ],
        ),
    ):
        for kill in kills:
            assert life.go(FIRST, kill, span=span)[0]["signal"] == 9
            for path in (life.home / "spans").glob("*.json"):
                assert SpanStore(life.home).newest(path.stem).version == 1
        assert life.go(FIRST, span=span)[0]["code"] == 0
    assert told(life.home) == told(calm.home)
    assert work(life) == work(calm)
    assert_same_model(life.home, calm.home)
