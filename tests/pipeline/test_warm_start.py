"""Which model a run begins from, and why it trains from nothing."""

import json

import pytest

from pipeline.recipe import load, loads
from pipeline.recipe.dump import resolved
from pipeline.recipe.errors import RecipeError
from pipeline.report.sentences import beginning as said
from pipeline.spans.resolve import SpanRun
from pipeline.warm_start import beginning, training_settings
from serving import versions

RECIPE = """
version: 1
name: warm
sources:
  log:
    files: log.csv
    columns:
      user_id: string
      at: {type: time, required: true}
      hour: int
      click: {type: int, known: after}
roles: {user: user_id, time: at}
features: {user_id: {kind: categorical}, hour: {kind: numeric}}
tasks: {click: {kind: binary, label: click}}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 3}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
training: {warm_start: {full_retrain_every: 4}}
gates: none
"""


class Place:
    """A recommender's folder, with the runs and versions that a test says there were."""

    def __init__(self, home):
        self.home = home

    def run(self, name, span="", status="pushed", began=None, since_full=0, settings=()):
        folder = self.home / "runs" / name
        for part in ("model_run/model.keras", "vocabularies/layout.json", "transform_graph/statistics.json"):
            (folder / part).parent.mkdir(parents=True)
            (folder / part).write_text(name)
        (folder / "recipe.yaml").write_text(resolved(loads(RECIPE, settings=settings)))
        (folder / "report").mkdir()
        told = {"run": name, "status": status, "span": {"name": span} if span else None}
        told["warm_start"] = {"run": began, "since_full": since_full}
        (folder / "report" / "metrics.json").write_text(json.dumps(told))

    def version(self, number, **record):
        folder = self.home / "serving" / str(number) / "assets.extra"
        folder.mkdir(parents=True)
        (folder / versions.RECORD).write_text(json.dumps(record))
        return folder.parent

    def begins(self, baseline, span=None, fingerprint="now", settings=()):
        recipe = loads(RECIPE, settings=settings)
        days = [f"2024-03-0{n}" for n in range(1, 10)]
        of = span and SpanRun(0, span, (), tuple(d for d in days if d < span)[-3:], (), "")
        return beginning(recipe, self.home, baseline, of, fingerprint, {})


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_it_is_the_version_that_serves(place):
    place.run("r1", "2024-03-05", since_full=1)
    found = place.begins(place.version(3, run="r1", span="2024-03-05"), "2024-03-06")
    base = found.base
    assert (base.version, base.run, base.span, found.since_full) == ("3", "r1", "2024-03-05", 2)
    assert said(found.facts()) == (
        "began from version 3 (run r1); 2 since the last run that trained from nothing, as one in 4 does"
    )
    other = place.home / "runs/r1/model_run/model.keras"
    other.write_text("other weights")
    again = place.begins(place.home / "serving/3", "2024-03-06")
    assert again.base.content != found.base.content


def test_after_a_roll_back_it_is_the_one_that_serves_again(place):
    place.run("r1", "2024-03-04")
    place.run("r2", "2024-03-05", began="r1", since_full=1)
    place.version(2, run="r2", span="2024-03-05")
    found = place.begins(place.version(3, run="r1", span="2024-03-04", of=1), "2024-03-06")
    assert (found.base.run, found.base.version, found.since_full) == ("r1", "1", 1)


def test_the_count_to_a_full_retrain_takes_in_what_was_refused(place):
    place.run("r1", "2024-03-03", since_full=1)
    serves = place.version(1, run="r1", span="2024-03-03")
    assert place.begins(serves, "2024-03-06").since_full == 2
    place.run("r2", "2024-03-04", "refused", "r1", 2)
    place.run("r3", "2024-03-04", "refused", "r1", 2)  # of the same day: counts once
    place.run("r4", "2024-03-05", "failed", "r1", 3)
    place.run("r5", "2024-03-06", "refused", "r1", 3)  # this very day
    assert place.begins(serves, "2024-03-06").since_full == 3
    full = place.begins(serves, "2024-03-07")
    assert (full.base, full.since_full) == (None, 0)
    assert said(full.facts()) == "trained from nothing: one run in 4 does, and 4 came after the last that did"


def test_the_same_run_again_begins_where_it_began(place):
    place.run("r1", "2024-03-04", since_full=1)
    place.run("r2", "2024-03-05", began="r1", since_full=2)
    began = {"version": "1", "run": "r1"}
    serves = place.version(2, run="r2", span="2024-03-05", warm_start=began)
    found = place.begins(serves, "2024-03-05")
    assert (found.base.run, found.base.version, found.since_full) == ("r1", "1", 2)
    place.run("r3")
    serves = place.version(3, run="r3", fingerprint="now", warm_start={"version": None, "run": None})
    assert place.begins(serves).reason == (
        "version 3, which serves, was made from exactly this recipe, data and code and nothing before"
    )
    assert place.begins(serves, fingerprint="later").base.run == "r3"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["tasks.click.loss=focal"], "tasks.click changed since run r1, which version 1 is from"),
        (["model.embedding_dim=3"], "model.embedding_dim changed since run r1, which version 1 is from"),
        (["features.day={kind: categorical, column: hour}"], "features.day changed since run r1"),
        (["sources.log.columns.user_id=int"], "sources.user_id changed since run r1"),
        (["training.optimizer.embedding.name=adam"], "training.optimizer.embedding changed since run r1"),
        (["weighting.name=uncertainty"], "weighting."),
    ],
)
def test_what_changed_is_named(place, settings, reason):
    place.run("r1", "2024-03-05")
    found = place.begins(place.version(1, run="r1", span="2024-03-05"), "2024-03-06", settings=settings)
    assert found.base is None and found.reason.startswith(reason)


@pytest.mark.parametrize("setting", ["training.epochs=9", "training.seed=5", "spans.window=5", "gates=none"])
def test_what_leaves_weights_their_meaning_may_change(place, setting):
    place.run("r1", "2024-03-05")
    found = place.begins(place.version(1, run="r1", span="2024-03-05"), "2024-03-06", settings=[setting])
    assert found.base is not None


def test_other_reasons(place):
    assert place.begins(None).reason == "no version serves yet"
    assert "is not there: it came from elsewhere" in place.begins(place.version(1)).reason
    assert "is not there" in place.begins(place.version(2, run="gone")).reason
    place.run("r1", "2024-03-01")
    serves = place.version(3, run="r1", span="2024-03-01")
    assert place.begins(serves).reason == "version 3 was trained by spans, and this run is of none"
    late = place.begins(serves, "2024-03-01T05")
    assert late.base is None
    place.run("r2")
    serves = place.version(4, run="r2")
    assert place.begins(serves, "2024-03-05").reason == "version 4 was not trained by spans as this one is"
    earlier = ["splits.test_from=2024-03-12T12"]
    assert place.begins(serves, settings=earlier).reason.startswith("splits changed since run r2")
    assert place.begins(serves, settings=["splits.test_from=2024-03-14"]).base.run == "r2"


def test_it_trains_for_epochs_of_its_own_at_rates_that_do_not_fall(place):
    place.run("r1", "2024-03-05")
    serves = place.version(1, run="r1", span="2024-03-05")
    given = ["training.epochs=9", "training.schedule={name: cosine, warmup_steps: 3}"]
    training = loads(RECIPE, settings=given).training
    own = training_settings(training, place.begins(serves, "2024-03-06", settings=given))
    assert (own.epochs, own.schedule.name, own.schedule.warmup_steps) == (1, "constant", 3)
    for begins in (None, place.begins(None)):
        whole = training_settings(training, begins)
        assert (whole.epochs, whole.schedule.name, whole.warm_start) == (9, "cosine", None)


def test_a_recipe_without_begins_nowhere_and_a_search_cannot_have_one(place, tmp_path):
    assert place.begins(None, settings=["training.warm_start=null"]) is None
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    with pytest.raises(RecipeError, match="cannot go with tune"):
        load(path, ["tune={trials: 2, space: {training.batch_size: [64, 128]}}"])
