"""What the server was asked, held against what was trained on."""

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from pipeline.drift.requests import read_requests, request_files
from pipeline.drift.skew import judge_skew
from pipeline.recipe.parts import Column
from pipeline.recipe.skew import Skew
from serving.client import Client
from serving.server.request_log import RequestLog

COLUMNS = {"price": "float", "id": "string", "age": "int", "tags": "list[string]"}
CALLS, ROWS = 400, 5


def rows(number, seed):
    draw = np.random.default_rng(seed)
    return {
        "price": np.where(draw.random(number) < 0.1, np.nan, np.exp(draw.normal(3, 1, number))),
        "id": draw.choice(["a", "b", "c"], number, p=[0.6, 0.3, 0.1]),
        "age": draw.integers(18, 80, number),
        "tags": draw.choice([["x", "y"], ["y", ""], ["z", "x"]], number),
    }


@pytest.fixture(scope="module")
def training():
    found = rows(20_000, 0)
    found["tags"] = [[t for t in tags if t] for tags in found["tags"]]
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(found)).datasets[0]


@pytest.fixture
def served(serve, tmp_path):
    """Asks a server for rows that are changed first; the requests as the gate reads them."""

    def asked(change, within=None):
        log = RequestLog(tmp_path / "log", 1.0)
        live = serve(log=log)
        found = change(rows(CALLS * ROWS, 1))
        with Client(live.url, "demo") as client:
            for start in range(0, CALLS * ROWS, ROWS):
                client.predict({n: v[start : start + ROWS].tolist() for n, v in found.items()})
        log.close()
        files = request_files(["log/requests-*.parquet"], tmp_path)
        columns = {name: Column.model_validate(kind) for name, kind in COLUMNS.items()}
        return read_requests(files, columns, within)

    return asked


def judged(requests, training, **bounds):
    given = Skew(requests="log/*.parquet", **bounds)
    return judge_skew(requests, "the newest requests", training, list(COLUMNS), None, given)


def test_requests_like_training_raise_no_alarm(served, training):
    requests = served(lambda found: found)
    assert (requests.statistics.num_examples, requests.requests) == (CALLS * ROWS, CALLS)
    [verdict] = judged(requests, training)
    assert (verdict.status, verdict.gate) == ("passed", "skew")
    assert verdict.sentence.startswith("skew: the newest requests are like what was trained on; the nearest ")


def test_a_skewed_feature_is_named(served, training):
    requests = served(lambda found: found | {"price": found["price"] * 100})
    [verdict] = judged(requests, training)
    assert verdict.status == "failed"
    assert verdict.sentence.startswith(
        "skew: price: the newest requests against what was trained on: Jensen-Shannon divergence is "
    )
    assert ": median 1," in verdict.sentence or ": median 2," in verdict.sentence
    [warned] = judged(requests, training, then="warn")
    assert warned.status == "skipped" and warned.sentence.endswith("; the recipe says to warn alone")
    [let] = judged(requests, training, columns={"price": 1})
    assert let.status == "passed"


def test_a_missing_feature_and_a_renamed_value_are_told(served, training):
    def change(found):
        lost = np.arange(CALLS * ROWS) % 2 == 0
        ids = np.where(found["id"] == "a", "A", found["id"])
        return found | {"price": np.where(lost, np.nan, found["price"]), "id": ids}

    said = [verdict.sentence for verdict in judged(served(change), training)]
    assert any("skew: price: " in s and "rows without a value is 0.4" in s for s in said), said
    assert any("skew: id: " in s and "never there" in s and "such as 'A' " in s for s in said), said
    assert {s.split(": ")[1] for s in said} == {"price", "id"}


def test_only_requests_of_the_time_are_read(served):
    assert served(lambda found: found, within=(0, 1_000_000)) is None
