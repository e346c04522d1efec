"""Twenty days of the demo, each ingested as a span: the clean ones are let pass, planted drift is told."""

from dataclasses import replace

import apache_beam as beam
import pyarrow as pa
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.statistics import stats_impl

from pipeline.demo import Drift as Planted
from pipeline.demo import generate
from pipeline.drift.judge import Spans, judge
from pipeline.drift.vectors import span_vectors
from pipeline.examples import decoder, serialized_batches
from pipeline.ingest.part import ingested_part
from pipeline.ingest.run import ingest
from pipeline.ingest.span_rows import HEAD, TAIL
from pipeline.recipe import load, loads
from pipeline.recipe.drift import Drift
from pipeline.spans.resolve import resolve

pytestmark = pytest.mark.slow

ROWS, SEED, DAYS = 100_000, 7, 20
PLANTED = "2024-03-19"  # the sixteenth


@pytest.fixture(scope="module")
def recipe(root):
    """The demo's, which also reads the items' vectors."""
    parts = load(root / "data/demo/recipe.yaml").model_dump(exclude_unset=True, by_alias=True, mode="json")
    catalogs = parts["sources"]["catalogs"]
    del catalogs["truth"], parts["evaluation"]["references"]
    columns = {"item_id": "string", "look": "vector"}
    catalogs["looks"] = {"files": "vectors.parquet", "key": "item_id", "columns": columns}
    parts["features"]["look"] = {"kind": "vector", "dimension": 16}
    parts["sources"]["events"]["orders"]["complete_until"] = "2024-03-27T21:00:00"
    return loads(yaml.safe_dump(parts, sort_keys=False))


@pytest.fixture(scope="module")
def ingested(recipe, tmp_path_factory):
    """Ingests a world's day as `mtl run --span` does: its statistics and its vectors."""
    home = tmp_path_factory.mktemp("home")

    def one(world, day):
        [span] = resolve(recipe, "", world, home, day).ingestions
        out = home / world.name / day
        options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
        ingest(ingested_part(span.recipe), world, out, beam.Pipeline(options=options), span=span.rows)
        columns = {name: column.expression_type for name, column in recipe.example_columns.items()}
        columns |= {f"{task}/{of}": "float" for task in recipe.tasks for of in ("label", "mask")}
        parse, batches = decoder(columns), []
        for split, part in (("train", HEAD), ("validation", TAIL)):
            (out / f"Split-{split}").rename(out / f"Split-{part}")
            batches += [parse.DecodeBatch(b.numpy().tolist()) for b in serialized_batches(out, part)]
        [rows] = pa.Table.from_batches(batches).combine_chunks().to_batches()
        found = stats_impl.generate_statistics_in_memory(rows, StatsOptions()).datasets[0]
        return found, span_vectors(recipe, str(out), None)

    return one


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    kinds = ("unit", "ids", "label", "encoder")
    days = generate(folder / "clean", ROWS, SEED, days=DAYS).days
    for kind in kinds:
        generate(folder / kind, ROWS, SEED, days=DAYS, drift=Planted(kind, days.index(PLANTED)))
    return {kind: folder / kind for kind in ("clean", *kinds)}, days


@pytest.fixture(scope="module")
def days(worlds, ingested):
    folders, names = worlds
    return {day: ingested(folders["clean"], day) for day in names}


@pytest.fixture(scope="module")
def judged(recipe, days):
    def of(last, drifted=None):
        """What the gate of the run of a day says, which may have drifted."""
        names = [name for name in days if name <= last][-1 - recipe.spans.window :]
        of = {name: days[name] for name in names}
        if drifted is not None:
            of[last] = drifted
        columns = [n for n, c in recipe.input_columns.items() if c.type not in ("time", "vector")]
        labels = {"click": "rate", "like": "rate", "purchase": "rate", "watch_time": "mean"}
        spans = Spans({n: s for n, (s, _) in of.items()}, columns, labels, recipe.roles.user)
        return judge(replace(spans, vectors={n: v for n, (_, v) in of.items()}), Drift())

    return of


def test_no_gate_fires_in_twenty_clean_days(days, judged):
    """With weekends, and a fifth more traffic from the eleventh on."""
    assert len(days) == DAYS
    for day in list(days)[1:]:
        found = judged(day)
        assert [v.status for v in found] == ["passed"], [v.sentence for v in found]


@pytest.mark.parametrize(
    ("kind", "name", "what", "moved"),
    [
        ("unit", "duration_s", "Jensen-Shannon divergence is 1.000", "; mean "),
        ("ids", "item_id", "the share of values that were never there is 1.000", "such as 'n0"),
        ("label", "like", "the relative change of the label's rate is 0.", "%, was "),
        (
            "encoder",
            "look",
            "the shift of the vectors (Fréchet distance over the total variance) is ",
            "length",
        ),
    ],
)
def test_planted_drift_is_stopped_with_the_right_sentence(worlds, ingested, judged, kind, name, what, moved):
    found = judged(PLANTED, ingested(worlds[0][kind], PLANTED))
    assert {v.status for v in found} == {"failed"}
    assert {v.sentence.split(": ")[1] for v in found} == {name}, [v.sentence for v in found]
    for against in ("2024-03-18", "2024-03-12 to 2024-03-18"):
        said = [v.sentence for v in found if f"{PLANTED} against {against}: {what}" in v.sentence]
        assert len(said) == 1 and moved in said[0], [v.sentence for v in found]
