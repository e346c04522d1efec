"""What is said where Beam's job service is not there, or its workers are not."""

import socket

import pytest

from pipeline.job_service import check_job_service, without_workers
from pipeline.recipe import RecipeError, load


@pytest.fixture
def recipe(root):
    def _recipe(beam):
        return load(root / "data/demo/recipe.yaml", [f"beam={beam}"])

    return _recipe


def test_nothing_answers(recipe, tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        found = recipe(f"{{runner: portable, job_endpoint: '{address}', worker_pool: 'localhost:1'}}")
        with pytest.raises(
            RecipeError, match=f"beam.job_endpoint: no job service answers at {address} .does not"
        ):
            check_job_service(found, tmp_path / "recipe.yaml")
        server.listen()
        check_job_service(found, tmp_path / "recipe.yaml")


def test_beam_cannot_start_a_job_service_without_java(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    text = (
        "{{runner: flink, master: 'flink:8081', sdk_image: 'mtl:1', options: {{flink_submit_uber_jar: {}}}}}"
    )
    with pytest.raises(RecipeError, match="beam.master: .* there is no `java` here"):
        check_job_service(recipe(text.format("false")), tmp_path)
    check_job_service(recipe(text.format("true")), tmp_path)


def test_a_worker_pool_that_is_not_there_is_named(recipe):
    beam = recipe("{runner: portable, job_endpoint: 'jobs:1', worker_pool: 'localhost:50000'}").beam
    error = RuntimeError("<_InactiveRpcError of RPC: status = StatusCode.UNAVAILABLE details = ...>")
    assert "at localhost:50000, as seen from each worker" in without_workers(error, beam)
    assert without_workers(RuntimeError("a step raised"), beam) == ""
    assert without_workers(error, recipe("{}").beam) == ""
