"""Which worker TF_CONFIG says this process is, and where several processes cannot train."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.distribution import BadCluster, Worker, of_this_process, this_worker
from pipeline.recipe import RecipeError

TWO = {"worker": ["a:1", "b:1"]}


def config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_the_first_worker_is_the_chief_unless_there_is_one_by_name():
    assert this_worker(config(TWO)) == Worker(0, 2)
    assert this_worker(config(TWO, index="1")) == Worker(1, 2)
    led = {"chief": ["c:1"], **TWO}
    assert this_worker(config(led, "chief")) == Worker(0, 3)
    assert this_worker(config(led, "worker", 1)) == Worker(2, 3)
    assert [Worker(n, 3).is_chief for n in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    "environment, said",
    [
        ({}, r"TF_CONFIG is not set: start the same command once for each worker, .* TF_CONFIG='\{"),
        ({"TF_CONFIG": "{cluster"}, "TF_CONFIG cannot be read .* it is to be such as"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "TF_CONFIG cannot be read .*task.* it is to be such as"),
        (config({}), "TF_CONFIG names no worker; it is to be such as"),
        (config({"worker": []}), "TF_CONFIG names no worker"),
        (config(TWO, index=2), "this is worker 2, but the cluster has worker 0, worker 1"),
        (config(TWO, "chief"), "this is chief 0, but the cluster has worker 0, worker 1"),
        (config({**TWO, "ps": ["d:1"]}), "jobs are `worker` and at most one `chief`, not ps"),
        (config({"chief": ["c:1", "d:1"]}, "chief"), "names more than one chief"),
    ],
)
def test_a_cluster_that_does_not_say_who_this_is_is_refused_in_words(environment, said):
    with pytest.raises(BadCluster, match=said):
        this_worker(environment)


def test_no_run_schedule_or_comparison_begins_with_several_workers(tmp_path):
    from pipeline.compare.variants import variants
    from pipeline.run import run
    from pipeline.schedule.write import write

    recipe, settings = Path("data/census/recipe.yaml"), ["training.distribution=multi_worker"]
    said = "is for `mtl train` alone, started once for each worker"
    with pytest.raises(RecipeError, match=said):
        run(recipe, recipe.parent, tmp_path / "output", settings, True)
    with pytest.raises(RecipeError, match=said):
        variants(recipe, settings, [], [])
    with pytest.raises(RecipeError, match=said):
        write("cron", recipe, recipe.parent, tmp_path / "output", settings, "@daily", tmp_path / "output", "")
    assert not (tmp_path / "output").exists()
    with pytest.raises(ValueError, match=said):
        of_this_process("multi_worker")


@pytest.mark.parametrize("index", [0, 1])
def test_the_documented_job_says_which_pod_each_is(index):
    text = Path("docs/operations.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```yaml\n(.*?)```", text, re.S) if "completionMode" in b)
    service, job = yaml.safe_load_all(block)
    pod = job["spec"]["template"]["spec"]
    shell = pod["containers"][0]["command"][-1].replace("exec mtl train", "printenv TF_CONFIG; exit #")
    told = subprocess.run(
        ["sh", "-c", shell],
        env={"JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert this_worker({"TF_CONFIG": told.stdout}) == Worker(index, job["spec"]["completions"])
    name = job["metadata"]["name"]
    hosts = [address.partition(":")[0] for address in json.loads(told.stdout)["cluster"]["worker"]]
    assert hosts == [f"{name}-{i}.{pod['subdomain']}" for i in range(2)]
    assert service["metadata"]["name"] == pod["subdomain"] and service["spec"]["selector"] == {
        "job-name": name
    }
