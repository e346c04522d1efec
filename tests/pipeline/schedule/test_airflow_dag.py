"""Airflow's DAG, loaded and run by Airflow in an environment of its own."""

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl

pytestmark = pytest.mark.slow
RECIPE = """
version: 1
name: shop
sources:
  log: {files: log.csv, columns: {user: int, price: float, clicked: {type: int, known: after}}}
roles: {user: user}
features: {user: {kind: categorical}, price: {kind: numeric}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
training: {epochs: 1}
evaluation: {replicates: 0}
gates: [{task: click, metric: auc, lower: 0.99}]
"""


@pytest.fixture(scope="module")
def airflow(root, tmp_path_factory):
    """Runs a command of Airflow's with a database of its own."""
    binary = root / ".venv-airflow" / "bin" / "airflow"
    if not binary.is_file():
        pytest.skip("Airflow is not installed: `make airflow` does")
    home = tmp_path_factory.mktemp("airflow")
    # the DAG's process has its own packages, and must find none of ours by PYTHONPATH
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{binary.parent}:{os.environ['PATH']}",
    }

    def run(*arguments):
        return subprocess.run(
            [binary, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
        )

    assert run("db", "migrate").returncode == 0
    return home, run


@pytest.fixture
def place(tmp_path, airflow):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    rows = [f"{i % 50},{i % 7 / 7:.3f},{i * 7919 % 13 % 2}" for i in range(2000)]
    (tmp_path / "log.csv").write_text("\n".join(["user,price,clicked", *rows]) + "\n")
    given = [
        "airflow",
        tmp_path / "recipe.yaml",
        "--output",
        tmp_path / "output",
        "--to",
        airflow[0] / "dags",
    ]
    found = CliRunner().invoke(mtl, ["schedule", *map(str, given), "--at", "30 4 * * *"])
    assert found.exit_code == 0, found.output
    return tmp_path


def test_airflow_runs_the_span_that_was_over_at_the_date_it_runs_for(airflow, place):
    home, run = airflow
    text = RECIPE.replace("name: shop", "name: daily").replace("price: float", "price: float, at: time")
    text = text.replace("roles: {user: user}", "roles: {user: user, time: at}")
    (place / "daily.yaml").write_text(text + "spans: {by: day}\n")
    first = 1_709_164_800_000  # 2024-02-29
    rows = [f"{i % 50},{i % 7 / 7:.3f},{first + i * 86_400},{i % 2}" for i in range(2000)]
    (place / "log.csv").write_text("\n".join(["user,price,at,clicked", *rows]) + "\n")
    given = ["airflow", place / "daily.yaml", "--output", place / "output", "--to", home / "dags"]
    assert CliRunner().invoke(mtl, ["schedule", *map(str, given)]).exit_code == 0
    assert run("dags", "test", "mtl_daily", "2024-03-01").returncode == 0
    metrics = json.loads((place / "output/daily/latest/report/metrics.json").read_text())
    assert (metrics["status"], metrics["span"]["name"]) == ("ingested", "2024-02-29")


def test_airflow_loads_the_dag_and_tells_a_refusal_from_bad_data(airflow, place):
    _, run = airflow
    errors = run("dags", "list-import-errors", "--output", "json")
    assert json.loads(errors.stdout.splitlines()[-1]) == [], errors.stdout
    refused = run("dags", "test", "mtl_shop", "2024-03-01")
    said = refused.stdout + refused.stderr
    metrics = json.loads((place / "output/shop/latest/report/metrics.json").read_text())
    assert metrics["status"] == "refused" and "Skipping task" in said.replace("Task skipped", "Skipping task")
    assert refused.returncode == 0, said
    (place / "log.csv").unlink()
    failed = run("dags", "test", "mtl_shop", "2024-03-02")
    assert "exit code 4: the recipe is wrong, or the data cannot be used" in failed.stdout + failed.stderr
