"""What a recipe's `beam:` becomes for each of Beam's runners."""

import pytest
import yaml
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.portability import common_urns
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import Environment

from pipeline.beam_pipeline import beam_options
from pipeline.recipe import load


@pytest.fixture
def options(root):
    def _options(**beam):
        recipe = load(
            root / "data/demo/recipe.yaml", [f"beam={yaml.safe_dump(beam, default_flow_style=True)}"]
        )
        found = beam_options(recipe)
        # every argument is one that Beam knows
        assert not found.get_all_options(retain_unknown_options=True).keys() - found.get_all_options().keys()
        return found

    return _options


def workers(found):
    """How and where Python workers are started."""
    environment = Environment.from_options(found.view_as(PortableOptions))
    return environment.to_runner_api_parameter(None)


def runner(found):
    return type(create_runner(found.view_as(StandardOptions).runner)).__name__


def test_this_machine(options):
    direct = options(runner="local", mode="multi_processing", workers=3).view_as(DirectOptions)
    assert (direct.direct_running_mode, direct.direct_num_workers) == ("multi_processing", 3)
    assert runner(direct) == "SwitchingDirectRunner"


def test_a_job_service_with_a_worker_pool(options):
    found = options(runner="portable", job_endpoint="jobs:8099", worker_pool="localhost:50000", workers=2)
    assert runner(found) == "PortableRunner"
    assert found.view_as(PortableOptions).job_endpoint == "jobs:8099"
    assert found.view_as(DirectOptions).direct_num_workers == 2  # which Beam's own job service reads
    urn, payload = workers(found)
    assert urn == common_urns.environments.EXTERNAL.urn and payload.endpoint.url == "localhost:50000"
    # TFX packs itself up for workers that have no image
    assert found.view_as(WorkerOptions).sdk_container_image == "none"


def test_flink_with_an_image(options):
    found = options(
        runner="flink", master="flink:8081", sdk_image="registry/mtl:1", workers=8,
        options={"flink_version": "1.19", "flink_submit_uber_jar": True},
    )  # fmt: skip
    assert runner(found) == "FlinkRunner"
    flink = found.view_as(FlinkRunnerOptions)
    assert (flink.flink_master, flink.parallelism, flink.flink_version) == ("flink:8081", 8, "1.19")
    assert flink.flink_submit_uber_jar and not found.view_as(PortableOptions).job_endpoint
    urn, payload = workers(found)
    assert urn == common_urns.environments.DOCKER.urn and payload.container_image == "registry/mtl:1"


def test_flink_with_a_job_service_of_its_own(options):
    found = options(runner="flink", job_endpoint="[::1]:8099", worker_pool="localhost:50000", workers=4)
    assert found.view_as(PortableOptions).job_endpoint == "[::1]:8099"
    assert found.view_as(FlinkRunnerOptions).parallelism == 4
    assert workers(found)[0] == common_urns.environments.EXTERNAL.urn


def test_spark(options):
    found = options(runner="spark", master="spark://head:7077", worker_pool="localhost:50000")
    assert runner(found) == "SparkRunner"
    assert found.view_as(SparkRunnerOptions).spark_master_url == "spark://head:7077"
    assert workers(found)[1].endpoint.url == "localhost:50000"


def test_dataflow(options):
    found = options(
        runner="dataflow", project="shop", region="europe-west4", temp_location="gs://shop/tmp",
        sdk_image="europe-docker.pkg.dev/shop/mtl:1", workers=20,
        options={"worker_machine_type": "n2-standard-4", "labels": ["team=rec", "env=prod"]},
    )  # fmt: skip
    assert runner(found) == "DataflowRunner"
    google, worker = found.view_as(GoogleCloudOptions), found.view_as(WorkerOptions)
    assert (google.project, google.region, google.temp_location) == ("shop", "europe-west4", "gs://shop/tmp")
    assert google.labels == ["team=rec", "env=prod"]
    assert (worker.max_num_workers, worker.machine_type) == (20, "n2-standard-4")
    assert worker.sdk_container_image == "europe-docker.pkg.dev/shop/mtl:1"


def test_a_job_may_take_longer_than_beam_waits_for_an_answer(options):
    service = {"runner": "portable", "job_endpoint": "jobs:8099", "worker_pool": "localhost:50000"}
    assert options(**service).view_as(PortableOptions).job_server_timeout >= 24 * 3600
    shorter = options(**service, options={"job_server_timeout": 600})
    assert shorter.view_as(PortableOptions).job_server_timeout == 600
