"""What `mtl schedule` writes, held against whom it is for: sh, systemd, Kubernetes' models, Airflow."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from kubernetes import client

from pipeline.cli import mtl
from pipeline.recipe import loads

RECIPE = """
version: 1
name: my_shop
sources:
  log: {files: log.csv, columns: {user: {type: int, private: true}, clicked: {type: int, known: after}}}
roles: {}
features: {user: {kind: categorical}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
notify: {webhook: SHOP_WEBHOOK}
"""
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def place(tmp_path):
    """A folder whose name must be quoted, with a recipe and no data."""
    place = tmp_path / "it's 100% here"
    (place / "data").mkdir(parents=True)
    (place / "recipe.yaml").write_text(RECIPE)
    return place


def schedule(place, target, *options):
    given = [target, place / "recipe.yaml", "--input", place / "data", "--output", place / "output"]
    found = CliRunner().invoke(mtl, ["schedule", *map(str, given), "--to", str(place / "to"), *options])
    assert found.exit_code == 0, found.output
    return {line.rpartition("/")[2]: line for line in found.output.splitlines()}


def run_script(path, **environment):
    return subprocess.run(
        [path], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_cron_s_script_runs_the_recipe_and_tells_of_its_end(place):
    made = schedule(place, "cron", "--at", "30 1 * * *", "--set", "training.epochs=3")
    assert list(made) == ["run-my_shop.sh", "my_shop.cron", "my_shop.env.example"]
    line = (place / "to/my_shop.cron").read_text().splitlines()[-1]
    assert line.startswith("30 1 * * * ")
    # cron takes \% for %, and gives the rest to sh
    command = line.removeprefix("30 1 * * * ").replace(r"\%", "%")
    assert shlex.split(command) == [made["run-my_shop.sh"]]
    found = run_script(made["run-my_shop.sh"])
    assert found.returncode == 2 and "failed with exit code 2" in found.stdout
    assert "MTL_PRIVATE_KEY is not set" in found.stdout
    (place / "to/my_shop.env").write_text(f"MTL_PRIVATE_KEY={KEY}\n")
    found = run_script(made["run-my_shop.sh"])
    assert found.returncode == 4 and "no file matches" in found.stdout  # there are no data
    assert len(list((place / "output/my_shop/schedule").glob("*.log"))) >= 1
    assert "epochs: 3" in (place / "output/my_shop/latest/recipe.yaml").read_text()


def test_cron_s_script_tells_a_refusal_from_a_failure_and_leaves_a_run_out(place):
    made = schedule(place, "cron")
    script = (place / "to/run-my_shop.sh").read_text()
    whole = shlex.join([sys.executable, "-m", "pipeline"])
    for code, said in (
        (0, ""),
        (3, "refused: the model that serves goes on serving"),
        (1, "failed with exit code 1"),
    ):
        stand_in = place / f"exits-{code}.sh"
        stand_in.write_text(script.replace(f"  {whole} run ", f"  sh -c 'echo at work; exit {code}' "))
        stand_in.chmod(0o755)
        found = run_script(stand_in)
        assert found.returncode == code and said in found.stdout
        assert ("at work" in found.stdout) == bool(said)
    with subprocess.Popen(
        ["flock", place / "output/my_shop/schedule/lock", "cat"], stdin=subprocess.PIPE
    ) as holder:
        while (
            subprocess.run(
                ["flock", "-n", place / "output/my_shop/schedule/lock", "true"], check=False
            ).returncode
            == 0
        ):
            pass
        found = run_script(made["run-my_shop.sh"])
        holder.stdin.close()
    assert found.returncode == 75 and "still at work" in found.stdout


def test_systemd_takes_the_units(place):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    made = schedule(place, "systemd", "--at", "15 3 * * mon-fri", "--set", "description=it's $5")
    found = subprocess.run(
        ["systemd-analyze", "verify", *made.values()], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    unit = (place / "to/mtl-my_shop.service").read_text()
    assert "SuccessExitStatus=3" in unit and "RestartPreventExitStatus=2 4" in unit
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:15:00 UTC" in (place / "to/mtl-my_shop.timer").read_text()


def test_kubernetes_takes_the_manifests(place):
    made = schedule(place, "kubernetes", "--image", "registry.example/mtl:1", "--set", "training.epochs=3")
    config, job = yaml.safe_load_all((place / "to/mtl-my-shop.yaml").read_text())
    assert list(made) == ["mtl-my-shop.yaml"]
    # the client's model wants what the API leaves out where onExitCodes is given
    job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0]["onPodConditions"] = []
    with client.ApiClient() as api:
        for manifest, kind in ((config, client.V1ConfigMap), (job, client.V1CronJob)):
            read = api.deserialize(type("Response", (), {"data": json.dumps(manifest)}), kind)
            assert api.sanitize_for_serialization(read) == manifest
    assert loads(config["data"]["recipe.yaml"]).name == "my_shop"
    spec = job["spec"]["jobTemplate"]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--set", "training.epochs=3"] and container["image"].endswith("mtl:1")
    assert container["envFrom"] == [{"secretRef": {"name": "mtl-my-shop"}}]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert mounts.keys() == {v["name"] for v in spec["template"]["spec"]["volumes"]}
    assert container["args"][1:6] == [
        "/recipe/recipe.yaml",
        "--input",
        mounts["input"],
        "--output",
        mounts["output"],
    ]
    assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"] == container["name"]


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (3, 0), (4, 4), (1, 1)])
def test_a_refusal_is_no_failure_of_kubernetes_job(place, code, ends):
    schedule(place, "kubernetes")
    _, job = yaml.safe_load_all((place / "to/mtl-my-shop.yaml").read_text())
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    stand_in = place / "mtl"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = run ] || exit 9\nexit {code}\n')
    stand_in.chmod(0o755)
    found = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": f"{place}:{os.environ['PATH']}"},
        check=False,
    )
    assert found.returncode == ends


def test_a_recipe_of_spans_runs_the_newest_that_is_over_and_what_was_missed(place):
    text = RECIPE.replace("clicked: {", "at: time, clicked: {").replace("roles: {}", "roles: {time: at}")
    (place / "recipe.yaml").write_text(text + "spans: {by: day, utc_offset_hours: 8}\n")
    for target in ("cron", "systemd", "kubernetes", "airflow"):
        schedule(place, target)
    for name in ("run-my_shop.sh", "mtl-my_shop.service"):
        assert " --span last --catch-up" in (place / "to" / name).read_text()
    _, job = yaml.safe_load_all((place / "to/mtl-my-shop.yaml").read_text())
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-3:] == ["--span", "last", "--catch-up"]
    # Airflow runs it for a date, which may be long ago
    dag = (place / "to/mtl_my_shop.py").read_text()
    assert (
        "'--span',\n            span,\n            '--catch-up',\n" in dag and "moment.add(hours=8.0)" in dag
    )
    compile(dag, "dag", "exec")


def test_hours_run_every_hour_where_nothing_is_said(place):
    text = RECIPE.replace("clicked: {", "at: time, clicked: {").replace("roles: {}", "roles: {time: at}")
    (place / "recipe.yaml").write_text(text + "spans: {by: hour, utc_offset_hours: 5.5}\n")
    for target in ("cron", "systemd", "kubernetes", "airflow"):
        schedule(place, target)
    assert (place / "to/my_shop.cron").read_text().splitlines()[-1].startswith("10 * * * * ")
    assert "OnCalendar=*-*-* *:10:00 UTC" in (place / "to/mtl-my_shop.timer").read_text()
    dag = (place / "to/mtl_my_shop.py").read_text()
    assert "moment.add(hours=5.5)" in dag and "moment.subtract(hours=1).format('YYYY-MM-DD[T]HH')" in dag


def test_what_a_container_does_not_have_is_refused(place):
    (place / "patch.yaml").write_text("training: {epochs: 2}\n")
    given = ["schedule", "kubernetes", str(place / "recipe.yaml"), "--set", f"@{place / 'patch.yaml'}"]
    found = CliRunner().invoke(mtl, [*given, "--to", str(place / "to")])
    assert found.exit_code == 2 and "is not in the container" in found.output


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--at", "every day"], "has 2 fields"), (["--at", "0 0 13 * fri"], "cron means either")],
)
def test_a_time_that_cannot_be_is_refused_before_anything_is_written(place, options, said):
    given = ["schedule", "systemd", str(place / "recipe.yaml"), "--to", str(place / "to"), *options]
    found = CliRunner().invoke(mtl, given)
    assert found.exit_code == 2 and said in " ".join(found.output.split()) and not (place / "to").exists()


def test_a_secret_is_in_no_file(place, monkeypatch):
    monkeypatch.setenv("MTL_PRIVATE_KEY", KEY)
    monkeypatch.setenv("SHOP_WEBHOOK", "https://example.org/T0KEN")
    for target in ("cron", "systemd", "kubernetes", "airflow"):
        schedule(place, target)
    for path in (place / "to").iterdir():
        assert KEY not in path.read_text() and "T0KEN" not in path.read_text()


def test_the_image_copies_what_is_there(root):
    copied = [
        source
        for line in (root / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    ]
    kept = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept and all((root / source).exists() for source in copied)
    text = (root / "Dockerfile").read_text()
    installed = " ".join(text.replace("\\\n", " ").split())
    assert "--no-deps --require-hashes -r requirements.lock -r requirements-aws.lock" in installed
    pins = [
        dict(re.findall(r"^([\w.-]+)==(\S+)", (root / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-aws.lock")
    ]
    assert "boto3" in pins[1] and not pins[0].keys() & pins[1].keys()
    [beam] = re.findall(r"^apache-beam==(\S+)", (root / "requirements.lock").read_text(), re.MULTILINE)
    assert re.findall(r"beam_python\S+_sdk:(\S+)", text) == [beam]
