import dataclasses
import json

from pipeline.report import write
from pipeline.report.write import write_report


def test_a_page_that_cannot_be_made_says_so_and_the_rest_is_there(facts, tmp_path, monkeypatch):
    def broken(metrics, recipe_text, pictures):
        raise KeyError("no such chart")

    monkeypatch.setattr(write, "render_page", broken)
    metrics = write_report(facts("pushed"), tmp_path)
    assert metrics["status"] == "pushed" and json.loads((tmp_path / "metrics.json").read_text()) == metrics
    page = (tmp_path / "index.html").read_text()
    assert page.startswith("index.html could not be made") and "no such chart" in page
    assert (tmp_path / "summary.md").stat().st_size and (tmp_path / "gates.xml").stat().st_size


def test_names_that_are_no_text(facts, tmp_path):
    found = facts("pushed")
    found = dataclasses.replace(found, reason="logs/\udcff.csv is named in no encoding")
    metrics = write_report(found, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics, "read as it was"
    for name in ("index.html", "summary.md"):
        assert "udcff" in (tmp_path / name).read_text(encoding="utf-8")
