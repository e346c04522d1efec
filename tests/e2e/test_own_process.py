"""`mtl run` as a person starts it, in processes of their own and in different folders, measures the same."""

import json
import os
import subprocess
import sys

import pytest

from pipeline.demo import generate

pytestmark = pytest.mark.slow
OF_FOLDERS = {"run", "started", "seconds", "memory", "gates"}  # of the gates' the serving check tells times


def test_two_processes_two_folders_the_same_metrics(root, tmp_path, small):
    generate(tmp_path / "data", 5_000, 3)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes((root / "data/demo/recipe.yaml").read_bytes())
    found, temporary = [], tmp_path / "temporary"
    temporary.mkdir()
    for name in ("one", "two"):
        settings = [x for s in (*small, "gates.0.lower=0.99") for x in ("--set", s)]
        given = [str(recipe), "--input", str(tmp_path / "data"), "--output", str(tmp_path / name), *settings]
        command = [sys.executable, "-m", "pipeline", "run", *given]
        environment = os.environ | {"TMPDIR": str(temporary)}
        ran = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert ran.returncode == 3, ran.stdout + ran.stderr
        assert "refused" in ran.stdout and "FAIL  click: auc" in ran.stdout
        assert not list(temporary.iterdir()) and not list((tmp_path / name / "demo").glob(".scratch-*"))
        assert "I0000" not in ran.stdout + ran.stderr  # TensorFlow's chatter is in the log
        metrics = json.loads((tmp_path / name / "demo/latest/report/metrics.json").read_text())
        sentences = {g["sentence"] for g in metrics["gates"] if g["gate"] != "serving"}
        kept = {n: v for n, v in metrics.items() if n not in OF_FOLDERS | {"training"}}
        found.append((kept, sentences, [epoch["objective"] for epoch in metrics["training"]["epochs"]]))
    assert found[0] == found[1]
