"""Pipelines for Vertex AI: compiled, read by those who would read them, and their steps run as there."""

import http.server
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe import load
from pipeline.report.form import read
from pipeline.runners import buckets
from pipeline.schedule import vertex, vertex_run
from pipeline.spans.store import SpanStore

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
    (tmp_path / "gcs/shop-bucket/logs").mkdir(parents=True)
    write_log(tmp_path, 2)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def write_log(place, days):
    """1,000 rows a day; from the third day on the price has another unit."""
    rows = [
        f"{i % 50},{i % 7 / 7 * (100 if i >= 2000 else 1):.3f},{FIRST + i * DAY // 1000},{i * 7919 % 13 % 2}"
        for i in range(1000 * days)
    ]
    text = "\n".join(["user,price,at,clicked", *rows]) + "\n"
    (place / "gcs/shop-bucket/logs/log.csv").write_text(text)


@pytest.fixture
def webhook(monkeypatch):
    """What a server at SHOP_WEBHOOK is told."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("SHOP_WEBHOOK", f"http://127.0.0.1:{server.server_port}/")
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def schedule(place, *options, places=PLACES):
    given = ["schedule", "vertex", str(place / "recipe.yaml"), *places, *CLOUD, "--to", str(place / "to")]
    return CliRunner().invoke(mtl, [*given, *options])


def executors(file):
    return json.loads(file.read_text())["pipelineSpec"]["deploymentSpec"]["executors"].values()


def job_of(place, *settings):
    recipe = load(place / "recipe.yaml", settings)
    given = (place / "recipe.yaml", PLACES[1], PLACES[3], settings, CLOUD[5], CLOUD[1], CLOUD[3])
    job = vertex.VertexJob(recipe, *given)
    job.check()
    return job


@pytest.mark.parametrize(
    ("change", "options", "places", "said"),
    [
        ("", [], ["--input", "logs", *PLACES[2:]], "give gs://BUCKET/FOLDER, not logs"),
        ("", [], [*PLACES[:2], "--output", "s3://b/mtl"], "not s3://b/mtl"),
        ("", [], ["--input", "gs://other/logs", *PLACES[2:]], "gcsfuse --implicit-dirs"),
        ("user: int,", [], PLACES, "is private"),
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
            job_id=f"mtl-my-shop-{'20240301T020000Z-2'.lower()}-1",
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
    assert command[:2] == ["sh", "-c"] and command[3:6] == ["mtl", "schedule", "vertex"]
    assert "--submit" in command
    assert (place / "gcs/shop-bucket/mtl/my_shop/schedule/recipe.yaml").read_text() == RECIPE
    assert command[6] == str(place / "gcs/shop-bucket/mtl/my_shop/schedule/recipe.yaml")
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


def _walk(job, number):
    """Runs a compiled pipeline's steps one after another, each with what Vertex AI would give it, in folders named
    as there; returns their names in order."""
    from pipeline.runners import vertex_step

    spec, root = job["pipelineSpec"], f"{job['runtimeConfig']['gcsOutputDirectory']}/123/{number}"
    tasks, made = dict(spec["root"]["dag"]["tasks"]), {}
    while tasks:
        name = next(n for n in sorted(tasks) if set(tasks[n].get("dependentTasks", [])) <= made.keys())
        task, component = tasks.pop(name), spec["components"][name]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        if "importer" in executor:
            made[name] = _imported(name, component, executor["importer"])
            continue
        folder = f"{root}/{name}_-{len(made)}"
        outputs = {
            key: {"name": f"{name}/{key}", "uri": f"{folder}/{key}", "type": of["artifactType"]}
            for key, of in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        file = f"{folder}/executor_output.json"
        Path(buckets.locally(file)).parent.mkdir(parents=True)
        given = json.dumps(_input(task, made, outputs, file))
        assert executor["container"]["command"] == ["python", "-m", "pipeline.runners.vertex_step"]
        vertex_step.run([given if part == "{{$}}" else part for part in executor["container"]["args"]])
        said = json.loads(Path(buckets.locally(file)).read_text()).get("artifacts", {})
        made[name] = {}
        for key, artifact in outputs.items():
            [told] = said[key]["artifacts"]
            assert told["uri"] == artifact["uri"]
            made[name][key] = artifact | {"metadata": told.get("metadata", {})}
    return list(made)


class Submits:
    """Runs what is submitted, in this process, and keeps it."""

    def __init__(self, folder):
        self.folder, self.order, self.said = folder, [], []

    def __call__(self, job, name, called):
        assert re.fullmatch("[a-z][-a-z0-9]{0,127}", name)
        called(f"projects/123/locations/europe-west4/pipelineJobs/{name}")
        (self.folder / f"{name}.json").write_text(json.dumps(job))
        try:
            self.order = _walk(job, name)
        except Exception as error:  # all that Vertex AI's client tells
            raise RuntimeError(
                "Job failed with: code: 9, The DAG failed because some tasks failed."
            ) from error


@pytest.fixture
def runs(place):
    """A function that runs a span, or all there is, and gives the exit code and metrics.json."""
    submits = Submits(place / "kept")
    submits.folder.mkdir()

    def run(span, *settings):
        code = vertex_run.run(job_of(place, *settings), span, submits, submits.said.append)
        return code, read(place / "gcs/shop-bucket/mtl/my_shop/latest/report/metrics.json")

    run.submits = submits
    return run


def test_a_run_without_data_has_a_report_and_the_webhook_is_told(place, runs, webhook):
    code, metrics = runs("2024-03-05", "notify.webhook=SHOP_WEBHOOK")
    assert (code, metrics["status"], metrics["failure"]["step"]) == (4, "failed", "inputs")
    assert "no row of the span 2024-03-05" in metrics["reason"]
    [told] = webhook
    assert told["status"] == "failed" and told["report"].startswith("gs://shop-bucket/mtl/my_shop/runs/")
    assert runs.submits.said[-1] == "webhook: was told"
    assert not list(runs.submits.folder.iterdir())


def test_a_step_that_breaks_is_told_in_its_own_words(place, runs):
    log = place / "gcs/shop-bucket/logs/log.csv"
    log.write_text(log.read_text().replace(",1\n", ",often\n"))
    code, metrics = runs("2024-02-28")
    assert (code, metrics["status"], metrics["failure"]["step"]) == (4, "failed", "Ingest-2024-02-28")
    assert "clicked" in metrics["failure"]["message"] and "often" in metrics["failure"]["message"]
    assert (place / "gcs/shop-bucket/mtl/my_shop/latest/dead_letters.jsonl").is_file()
    found = CliRunner().invoke(mtl, ["runs", "show", str(place / "gcs/shop-bucket/mtl/my_shop/latest")])
    assert f"pipelineJobs/mtl-my-shop-{metrics['run'].lower()}-1" in found.output


def test_of_a_step_that_was_killed_there_is_what_vertex_ai_says(place):
    def execute(pipeline, name, called):
        called(name)
        raise RuntimeError("Job failed with: code: 9, The replica workerpool0-0 ran out of memory.")

    said = []
    assert vertex_run.run(job_of(place), "2024-02-28", execute, said.append) == 1
    metrics = read(place / "gcs/shop-bucket/mtl/my_shop/latest/report/metrics.json")
    assert metrics["failure"]["step"] == "Vertex AI" and "out of memory" in metrics["reason"]
    assert said[-2].startswith("failed: Vertex AI: Job failed with")


def test_a_pipeline_that_ended_and_did_nothing_is_not_submitted_again(place):
    submitted = []

    def execute(
        pipeline, name, called
    ):  # as of one that a person cancelled: Vertex AI's client raises nothing
        submitted.append(name)

    assert vertex_run.run(job_of(place), "2024-02-28", execute, lambda line: None) == 1
    metrics = read(place / "gcs/shop-bucket/mtl/my_shop/latest/report/metrics.json")
    assert len(submitted) == 1 and "it still ingests 2024-02-28, version 1" in metrics["reason"]


@pytest.mark.slow
def test_a_run_of_all_there_is_has_its_report_from_the_last_step(place, runs):
    log = place / "gcs/shop-bucket/logs/log.csv"
    log.write_text(log.read_text() + "7,cheap,1709164800000,1\n")  # one row of two thousand cannot be read
    code, metrics = runs("", "spans=null")
    assert (code, metrics["status"], Path(metrics["pushed"]).name) == (0, "pushed", "1")
    assert (metrics["rows"]["read"], metrics["rows"]["dead"]) == (2001, 1)
    assert [gate["gate"] for gate in metrics["gates"]] == ["schema", "metrics", "serving"]
    home = place / "gcs/shop-bucket/mtl/my_shop"
    assert "cheap" in (home / "latest/dead_letters.jsonl").read_text()
    assert (home / "latest/examples").resolve().is_relative_to(home / "artifacts/123")
    assert runs("", "spans=null")[1]["status"] == "unchanged"
    assert len(list(runs.submits.folder.iterdir())) == 1


@pytest.mark.slow
def test_runs_from_the_compiled_pipelines_alone_are_told_as_those_of_mtl_run(place, root, runs, webhook):
    settings = ("notify.webhook=SHOP_WEBHOOK", "training.warm_start={}")
    home = place / "gcs/shop-bucket/mtl/my_shop"
    code, metrics = runs("2024-02-28", *settings)
    assert (code, metrics["status"]) == (0, "ingested")  # nothing before it to train on
    assert metrics["rows"]["read"] == 1000 and metrics["seconds"]["StatisticsGen.2024-02-28"] > 0

    code, first = runs("2024-02-29", *settings)
    assert (code, first["status"], Path(first["pushed"]).name) == (0, "pushed", "1")
    assert runs.submits.order[0].startswith("Examples-2024-02-28") and runs.submits.order[-1] == "Report"
    assert (home / "serving/CURRENT").read_text().split()[0] == "1"
    assert [gate["gate"] for gate in first["gates"]] == ["schema", "metrics", "drift", "serving"]
    assert first["tasks"]["click"]["metrics"]["auc"] > 0 and first["seconds"]["Trainer"] > 0
    assert first["memory"]["Trainer"] > 1e8 and first["training"]["epochs"]
    assert runs("2024-02-29", *settings)[1]["status"] == "unchanged"

    # the price of the third day has another unit
    write_log(place, 4)
    code, metrics = runs("2024-03-01", *settings)
    assert (code, metrics["status"]) == (3, "refused") and "price" in metrics["reason"]
    assert metrics["warm_start"]["run"] == first["run"] and metrics["staleness"] is not None
    assert [told["sentences"] for told in webhook] == [
        [gate["sentence"] for gate in metrics["gates"] if gate["status"] == "failed"]
    ]
    assert SpanStore(home).drifted("2024-03-01")

    listed = CliRunner().invoke(mtl, ["runs", "list", str(home)]).output.splitlines()[2:]
    ended = [line.split()[1:3] for line in listed]
    assert ended == [["2024-02-28", "ingested"], ["2024-02-29", "pushed"], ["2024-02-29", "unchanged"],
                     ["2024-03-01", "refused"]]  # fmt: skip
    shown = CliRunner().invoke(mtl, ["runs", "show", str(home / "runs" / first["run"])]).output
    assert re.search(r"Trainer +\d+\.\d .*artifacts/123/mtl-my-shop-\S+-2/Trainer_", shown)

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
        [python, "-c", script, *sorted(map(str, runs.submits.folder.iterdir()))],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["my-shop"] * 5
