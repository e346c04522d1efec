"""The demo on Beam's own job service, with Python workers in other processes, against one process."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow_data_validation as tfdv

from benchmarks.workers import free_ports
from pipeline.beam_pipeline import beam_pipeline
from pipeline.demo import generate
from pipeline.job_service import without_workers
from pipeline.predict import predict
from pipeline.recipe import load

pytestmark = pytest.mark.slow


def wait(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The setting that sends Beam to a job service, and the log of the pool that starts its workers."""
    folder = tmp_path_factory.mktemp("service")
    runners = "apache_beam.runners"
    ports = free_ports(2)
    commands = [
        [sys.executable, "-m", f"{runners}.portability.local_job_service_main", f"--port={ports[0]}"],
        [sys.executable, "-m", f"{runners}.worker.worker_pool_main", f"--service_port={ports[1]}"],
    ]
    # the pool starts `python`; what its workers leave among temporary files is none of the run's
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TMPDIR": str(folder)}
    processes = []
    for number, command in enumerate(commands):
        with (folder / f"{number}.log").open("w") as log:
            processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    try:
        for port, process in zip(ports, processes, strict=True):
            wait(port, process)
        addresses = "job_endpoint: 'localhost:{}', worker_pool: 'localhost:{}'".format(*ports)
        yield f"beam={{runner: portable, {addresses}}}", folder / "1.log"
    finally:
        for process in processes:
            process.terminate()
            process.wait(60)


def started(log: Path) -> int:
    """How many workers the pool has started."""
    return log.read_text().count("Starting worker with command")


def bytes_of(folder: Path, pattern: str) -> dict[str, bytes]:
    """Path below the folder → content."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob(pattern) if p.is_file()}
    assert found
    return found


def artifacts(home: Path, name: str) -> Path:
    [folder] = (home / "artifacts" / name).iterdir()
    return folder


def statistics_of(home: Path, split: str) -> dict[str, object]:
    file = artifacts(home, "StatisticsGen/statistics") / f"Split-{split}" / "FeatureStats.pb"
    [found] = tfdv.load_stats_binary(str(file)).datasets
    return {feature.path.step[0]: feature for feature in found.features}


def test_workers_in_other_processes_come_to_the_same(root, tmp_path, service, go):
    setting, log = service
    recipe, data = root / "data/demo/recipe.yaml", tmp_path / "data"
    generate(data, 2_000, 3)
    here, there = (
        go(recipe, data, tmp_path / name, "gates=none", *settings)
        for name, settings in (("here", ()), ("there", (setting,)))
    )
    assert here.code == there.code == 0 and started(log) == 4  # ingestion, statistics, Transform, evaluation
    one, other = tmp_path / "here" / "demo", tmp_path / "there" / "demo"

    for pattern in ("counts.json", "Split-*/*"):
        assert bytes_of(here.folder / "examples", pattern) == bytes_of(there.folder / "examples", pattern)
    for split in ("train", "validation", "test"):
        assert statistics_of(one, split) == statistics_of(other, split)
    assert bytes_of(here.folder / "transformed_examples", "*/*") == bytes_of(
        there.folder / "transformed_examples", "*/*"
    )
    evaluations = [artifacts(home, "Evaluate/evaluation") for home in (one, other)]
    mine, theirs = (pq.read_table(folder / "metrics.parquet").to_pydict() for folder in evaluations)
    assert mine.keys() == theirs.keys() and len(mine["value"]) > 100
    for name, values in mine.items():
        if isinstance(next(v for v in [*values, ""] if v is not None), float):
            numbers = [np.array(v, float) for v in (values, theirs[name])]
            np.testing.assert_allclose(*numbers, rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert values == theirs[name]

    for name, settings in (("one", ()), ("other", (setting,))):
        assert predict(recipe, one / "serving", data, tmp_path / name, settings) == 2_000
    assert started(log) == 6
    assert bytes_of(tmp_path / "one", "scores/*") == bytes_of(tmp_path / "other", "scores/*")


def test_a_pool_that_is_not_there_is_told(root, service):
    setting, _ = service
    nobody = re.sub(r"worker_pool: 'localhost:\d+'", f"worker_pool: 'localhost:{free_ports(1)[0]}'", setting)
    recipe = load(root / "data/demo/recipe.yaml", [nobody])
    pipeline = beam_pipeline(recipe)
    _ = pipeline | beam.Create([1]) | beam.Map(str)
    with pytest.raises(RuntimeError) as raised:
        pipeline.run().wait_until_finish()
    assert f"at {recipe.beam.worker_pool}, as seen" in without_workers(raised.value, recipe.beam)
