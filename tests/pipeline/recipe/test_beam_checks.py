"""What is wrong with a recipe's `beam:`, said before anything runs."""

import pytest
import yaml

from pipeline.recipe import RecipeError, load

SERVICE = {"runner": "portable", "job_endpoint": "jobs:8099", "worker_pool": "localhost:50000"}
DATAFLOW = {
    "runner": "dataflow",
    "project": "shop",
    "region": "europe-west4",
    "temp_location": "gs://shop/tmp",
    "sdk_image": "registry/mtl:1",
}


@pytest.mark.parametrize(
    ("beam", "said"),
    [
        (
            {"runner": "dask"},
            "beam.runner: must be one of 'local', 'portable', 'flink', 'spark' or 'dataflow'",
        ),
        (
            {"job_endpoint": "jobs:8099"},
            "is nothing that the runner local has; it is of portable, flink, spark",
        ),
        ({"runner": "portable"}, r"needs `job_endpoint` \(host:port of a job service that is running\)"),
        ({**SERVICE, "mode": "multi_processing"}, "beam.mode: is nothing that the runner portable has"),
        ({**SERVICE, "worker_pool": None}, "needs `worker_pool` .* or `sdk_image`"),
        ({**SERVICE, "sdk_image": "mtl:1"}, "has worker_pool and sdk_image, of which only one can be meant"),
        ({**SERVICE, "job_endpoint": "http://jobs:8099"}, "is no address; write host:port, without http://"),
        ({**SERVICE, "runner": "flink", "master": "flink:8081"}, "has job_endpoint and master"),
        ({**SERVICE, "runner": "spark", "workers": 4}, "beam.workers: is nothing that the runner spark has"),
        ({**DATAFLOW, "sdk_image": None}, "the runner dataflow needs `sdk_image` "),
        (
            {**DATAFLOW, "temp_location": "/tmp"},
            "is no folder of Google Cloud Storage; write gs://bucket/folder",
        ),
        ({**DATAFLOW, "master": "flink:8081"}, "beam.master: is nothing that the runner dataflow has"),
        ({**SERVICE, "options": {"paralelism": 2}}, "no option of Beam's; did you mean parallelism"),
        ({**SERVICE, "options": {"parallelism": 2}}, "beam.options.parallelism: is beam.workers in a recipe"),
        ({**SERVICE, "options": {"flink_submit_uber_jar": 1}}, "is a switch of Beam's: true or false"),
        ({**SERVICE, "options": {"flink_version": True}}, "takes a value, and not true or false"),
        ({**SERVICE, "options": {"flink_version": {}}}, "must be true or false, a number, a text or a list"),
        ({"options": {"s3_secret_access_key": "x"}}, "is a credential and has no place in a recipe"),
        ({"options": {"azure_connection_string": "x"}}, "is a credential and has no place in a recipe"),
    ],
)
def test_what_beam_cannot_be_told(root, beam, said):
    with pytest.raises(RecipeError, match=said):
        load(root / "data/demo/recipe.yaml", [f"beam={yaml.safe_dump(beam, default_flow_style=True)}"])
