"""`mtl serve` as a process of its own: what it prints, answers, and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

from click.testing import CliRunner

from pipeline.cli import mtl


def test_it_prints_where_to_call_answers_and_ends_when_told(saved, tmp_path):
    folder = tmp_path / "feed" / "serving"
    shutil.copytree(saved / "1", folder / "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", str(folder), "--rest-port", "0", "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    lines = [process.stdout.readline() for _ in range(5)]
    try:
        assert lines[0] == "feed: version 1 serves\n"
        url = re.fullmatch(r"REST:  (http://127\.0\.0\.1:\d+)/v1/models/feed:predict\n", lines[1])[1]
        assert re.fullmatch(r"gRPC:  127\.0\.0\.1:\d+\n", lines[2])
        body = json.dumps({"signature_name": "echo", "instances": ["a"]}).encode()
        with urllib.request.urlopen(f"{url}/v1/models/feed:predict", body, timeout=60) as response:
            assert json.load(response) == {"predictions": [{"b64": "Yf8="}]}
    finally:
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "ending: requests under way are answered first\n")
    assert errors == ""


def test_what_cannot_be_served_is_said_before_anything_heavy_begins(tmp_path):
    found = CliRunner().invoke(mtl, ["serve", str(tmp_path)])
    assert found.exit_code == 2 and "has no version to serve" in found.output
    (tmp_path / "1").mkdir()
    for arguments, said in (
        (["--label", "canary"], "is not NAME=VERSION"),
        (["--name", "a/b"], "leave out / and :"),
    ):
        found = CliRunner().invoke(mtl, ["serve", str(tmp_path), *arguments])
        assert found.exit_code == 2 and said in found.output
