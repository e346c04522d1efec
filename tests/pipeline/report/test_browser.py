"""The pages in a real browser, where there is one: see benchmarks/browser.py."""

import json
import shutil
import subprocess
import sys

import pytest

from pipeline.report.history import recommenders
from pipeline.report.index import write_index
from pipeline.report.numbers import interval_text, metric_text
from pipeline.report.write import write_report


@pytest.fixture
def opened(root):
    """A function from a page to what came of opening it; skips where no browser is."""
    pytest.importorskip("websocket")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
        pytest.skip("no chromium on PATH; test_page.py holds the page's text against every way out of it")

    def opened(page):
        command = [sys.executable, str(root / "benchmarks" / "browser.py"), str(page)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    return opened


def test_no_request_no_error_and_nothing_wider_than_a_phone(facts, tmp_path, opened):
    write_report(facts("pushed"), tmp_path / "runs" / "day1" / "report")
    found = opened(tmp_path / "runs" / "day1" / "report" / "index.html")
    assert found["requests"] == [] and found["errors"] == []
    assert {width: of["wider"] for width, of in found["widths"].items()} == {"1440": 0, "390": 0}
    # the script's numbers are those of numbers.py
    slices = found["widths"]["1440"]["slices"]
    assert slices[1:4] == ["40", "0.60\n0.50 to 0.70", "−0.01\n−0.10 to +0.10"]
    assert slices[2].splitlines() == [metric_text(0.6, (0.5, 0.7)), interval_text((0.5, 0.7))]
    index = opened(write_index(tmp_path, recommenders(tmp_path)))
    assert index["requests"] == [] and index["errors"] == [] and index["widths"]["390"]["wider"] == 0
