"""Pipelines for Vertex AI: compiled, read by those who would read them, and their steps run as there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe import load
from pipeline.runners import buckets
from pipeline.schedule import vertex

RECIPE = """
version: 1
name: my_shop
sources:
  log:
    files: log.csv
    columns: {user: int, price: float, at: {type: time, unit: ms}, clicked: {type: int, known: after}}
roles: {user: user, time: at}
features: {user: {kind: categorical}, price: {kind: numeric}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: time, validation_from: 2024-02-28T16:00:00, test_from: 2024-02-29}
spans: {by: day, window: 2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
training: {epochs: 1}
evaluation: {replicates: 0}
gates: [{task: click, metric: auc, lower: 0.1}]
"""
DAY = 86_400_000
FIRST = 1_709_078_400_000  # 2024-02-28
PLACES = ["--input", "gs://shop-bucket/logs", "--output", "gs://shop-bucket/mtl"]
CLOUD = ["--project", "shop", "--region", "europe-west4", "--image", "registry.example/mtl:1"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A bucket of two days' logs, mounted, and a recipe."""
    monkeypatch.setattr(buckets, "MOUNT", tmp_path / "gcs")
    logs = tmp_path / "gcs/shop-bucket/logs"
    logs.mkdir(parents=True)
    rows = [f"{i % 50},{i % 7 / 7:.3f},{FIRST + i * DAY // 1000},{i * 7919 % 13 % 2}" for i in range(2000)]
    (logs / "log.csv").write_text("\n".join(["user,price,at,clicked", *rows]) + "\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def schedule(place, *options, places=PLACES):
    given = ["schedule", "vertex", str(place / "recipe.yaml"), *places, *CLOUD, "--to", str(place / "to")]
    return CliRunner().invoke(mtl, [*given, *options])


def executors(file):
    return json.loads(file.read_text())["pipelineSpec"]["deploymentSpec"]["executors"].values()


def job_of(place):
    recipe = load(place / "recipe.yaml")
    given = (place / "recipe.yaml", PLACES[1], PLACES[3], (), CLOUD[5], CLOUD[1], CLOUD[3])
    return vertex.VertexJob(recipe, *given)


@pytest.mark.parametrize(
    ("change", "options", "places", "said"),
    [
        ("", [], ["--input", "logs", *PLACES[2:]], "give gs://BUCKET/FOLDER, not logs"),
        ("", [], [*PLACES[:2], "--output", "s3://b/mtl"], "not s3://b/mtl"),
        ("", [], ["--input", "gs://other/logs", *PLACES[2:]], "gcsfuse --implicit-dirs"),
        ("user: int,", [], PLACES, "is private"),
        ("", ["--set", "notify.webhook=HOOK"], PLACES, "leave it out"),
        ("", ["--set", "training.warm_start={}"], PLACES, "every run would train from nothing"),
        ("", ["--set", "pipeline_root=gs://b/f"], PLACES, "pipeline_root: on Vertex AI what steps"),
        ("", ["--set", "serving.publish=gs://b/f"], PLACES, "nothing on Vertex AI would copy the model"),
        ("", ["--set", "sources.log.files=gs://b/f/*"], PLACES, "sources.log.files: gs://b/f/* is"),
        ("", ["--span", "2024-03-05"], PLACES, "no row of the span 2024-03-05"),
        ("", ["--span", "tuesday"], PLACES, "--span"),
        ("", ["--at", "every day", "--span", "2024-02-28"], PLACES, "has 2 fields"),
    ],
)
def test_what_cannot_go_there_is_refused_in_words(place, change, options, places, said):
    if change:
        (place / "recipe.yaml").write_text(RECIPE.replace(change, "user: {type: int, private: true},"))
    found = schedule(place, *options, places=places)
    assert found.exit_code == 2 and said in " ".join(found.output.split())
    assert not (place / "to").exists()


def test_options_of_vertex_are_asked_for_there_and_refused_elsewhere(place):
    given = ["schedule", "vertex", str(place / "recipe.yaml"), *PLACES]
    found = CliRunner().invoke(mtl, given)
    assert found.exit_code == 2 and "--project and --region must be given" in found.output
    found = CliRunner().invoke(mtl, ["schedule", "cron", str(place / "recipe.yaml"), "--project", "shop"])
    assert found.exit_code == 2 and "--project is for vertex, and this is cron" in found.output


def test_the_files_are_what_vertex_ai_s_own_client_takes(place):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    found = schedule(place, "--span", "2024-02-28", "--at", "30 1 * * *", "--set", "training.batch_size=64")
    assert found.exit_code == 0, found.output
    names = ["mtl-my-shop-next.json", "mtl-my-shop-daily.json", "schedule-mtl-my-shop.py"]
    assert [line.rpartition("/")[2] for line in found.output.splitlines()] == names
    for name in names[:2]:
        aiplatform.PipelineJob(
            display_name="x",
            template_path=str(place / "to" / name),
            project="shop",
            location="europe-west4",
            credentials=AnonymousCredentials(),
        )
        text = (place / "to" / name).read_text()
        job = json_format.Parse(text, pipeline_spec_pb2.PipelineJob())
        assert job.runtime_config.gcs_output_directory.startswith("gs://shop-bucket/mtl/my_shop/")
        # strict: a field that the specification does not have is an error
        spec = json_format.ParseDict(json.loads(text)["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
        assert all(re.fullmatch("[A-Za-z0-9-]+", task) for task in spec.root.dag.tasks)
    steps, [daily] = (executors(place / "to" / name) for name in names[:2])
    assert {e["container"]["image"] for e in steps} == {"registry.example/mtl:1"}
    # what the schedule starts runs the same again, from the recipe's copy in the bucket
    command = daily["container"]["command"]
    assert command[:3] == ["mtl", "schedule", "vertex"] and "--submit" in command
    assert (place / "gcs/shop-bucket/mtl/my_shop/schedule/recipe.yaml").read_text() == RECIPE
    assert command[3] == str(place / "gcs/shop-bucket/mtl/my_shop/schedule/recipe.yaml")
    assert command[-2:] == ["--set", "training.batch_size=64"]
    script = (place / "to" / names[2]).read_text()
    compile(script, "schedule", "exec")
    assert "cron='TZ=Etc/UTC 30 1 * * *'" in script


def _imported(name, component, of):
    [output] = component["outputDefinitions"]["artifacts"]
    uri = of["artifactUri"]["constant"]
    assert uri.startswith("gs://")
    return {output: {"name": name, "uri": uri, "type": of["typeSchema"], "metadata": of.get("metadata", {})}}


def _input(task, made, outputs, file):
    """What a step is given in place of {{$}}; `made` is step → output → artifact."""
    given = task.get("inputs", {})
    sources = {key: of["taskOutputArtifact"] for key, of in given.get("artifacts", {}).items()}
    parameters = {k: of["runtimeValue"]["constant"] for k, of in given.get("parameters", {}).items()}
    artifacts = {k: made[of["producerTask"]][of["outputArtifactKey"]] for k, of in sources.items()}

    def listed(artifacts):
        return {key: {"artifacts": [artifact]} for key, artifact in artifacts.items()}

    return {
        "inputs": {"artifacts": listed(artifacts), "parameterValues": parameters},
        "outputs": {"artifacts": listed(outputs), "outputFile": file},
    }


def _walk(job):
    """Runs a compiled pipeline's steps one after another, each with what Vertex AI would give it; returns
    their names in order."""
    from pipeline.runners import vertex_step

    spec, root = job["pipelineSpec"], job["runtimeConfig"]["gcsOutputDirectory"]
    tasks, made = dict(spec["root"]["dag"]["tasks"]), {}
    while tasks:
        name = next(n for n in sorted(tasks) if set(tasks[n].get("dependentTasks", [])) <= made.keys())
        task, component = tasks.pop(name), spec["components"][name]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        if "importer" in executor:
            made[name] = _imported(name, component, executor["importer"])
            continue
        outputs = {
            key: {"name": f"{name}/{key}", "uri": f"{root}/1/{name}/{key}", "type": of["artifactType"]}
            for key, of in component["outputDefinitions"]["artifacts"].items()
        }
        file = f"{root}/1/{name}/executor_output.json"
        Path(buckets.locally(file)).parent.mkdir(parents=True)
        given = json.dumps(_input(task, made, outputs, file))
        assert executor["container"]["command"] == ["python", "-m", "pipeline.runners.vertex_step"]
        vertex_step.run([given if part == "{{$}}" else part for part in executor["container"]["args"]])
        said = json.loads(Path(buckets.locally(file)).read_text())["artifacts"]
        made[name] = {}
        for key, artifact in outputs.items():
            [told] = said[key]["artifacts"]
            assert told["uri"] == artifact["uri"]
            made[name][key] = artifact | {"metadata": told.get("metadata", {})}
    return list(made)


@pytest.mark.slow
def test_a_run_of_a_span_from_the_compiled_pipelines_alone_ends_with_a_pushed_model(place, root):
    kept = place / "kept"
    kept.mkdir()
    whats = []
    for span in ("2024-02-28", "2024-02-29"):
        for i, (what, job) in enumerate(vertex.jobs(job_of(place), span)):
            whats.append(what)
            (kept / f"{span}-{i}.json").write_text(json.dumps(job))
            order = _walk(job)
    # the first has nothing before it to train on
    assert whats == ["ingests 2024-02-28", "ingests 2024-02-29", "trains for 2024-02-29"]
    assert order[0].startswith("Examples-2024-02-28") and order[-1] == "Push"
    serving = place / "gcs/shop-bucket/mtl/my_shop/serving"
    assert (serving / "CURRENT").read_text().split()[0] == "1" and (serving / "1/saved_model.pb").is_file()
    assert list(vertex.jobs(job_of(place), "2024-02-29")) == []  # there is nothing to do

    # and Kubeflow's library reads them
    python = root / ".venv-kfp/bin/python"
    if not python.exists():
        pytest.skip("kfp is not installed: `make kfp` does; the rest of this test passed")
    script = (
        "import json, sys, yaml; from kfp import components\n"
        "for path in sys.argv[1:]:\n"
        "    spec = json.load(open(path))['pipelineSpec']\n"
        "    found = components.load_component_from_text(yaml.safe_dump(spec))\n"
        "    print(found.name, len(found.pipeline_spec.root.dag.tasks))\n"
    )
    ran = subprocess.run(
        [python, "-c", script, *sorted(map(str, kept.iterdir()))],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["my-shop"] * 3
