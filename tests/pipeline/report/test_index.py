import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pipeline import Run
from pipeline.cli import mtl
from pipeline.report.history import recommenders
from pipeline.report.index import write_index
from pipeline.report.write import write_report


@pytest.fixture
def output(facts, tmp_path):
    """Two recommenders: four runs and an evaluation of one, a file that is not JSON of the other."""
    runs = tmp_path / "demo" / "runs"
    for day, ending in enumerate(("pushed", "refused", "failed", "unchanged"), 1):
        write_report(replace(facts(ending), run=f"day{day}"), runs / f"day{day}" / "report")
    evaluated = replace(facts("pushed"), status="evaluated", pushed=None, reason="a model by itself")
    write_report(evaluated, tmp_path / "demo" / "evaluations" / "day5" / "report")
    (tmp_path / "demo" / "latest").symlink_to("runs/day4")
    broken = tmp_path / "other" / "runs" / "day1" / "report" / "metrics.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    return tmp_path


def test_every_run_is_found_once_and_evaluations_apart(output):
    demo, other = recommenders(output)
    assert [run.name for run in demo.runs] == ["day1", "day2", "day3", "day4"]
    assert [run.name for run in demo.evaluations] == ["day5"]
    assert [run.name for run in demo.measured] == ["day1", "day2", "day4"], "day 3 failed"
    assert other.runs[0].content is None and "cannot be read" in other.runs[0].problem
    assert [of.name for of in recommenders(output / "demo")] == ["demo"]
    assert recommenders(output / "demo" / "runs") == []


def test_metrics_over_time_are_those_of_the_runs(output):
    series = recommenders(output)[0].series()
    assert series["click", "auc"] == [(place, 0.75, (0.74, 0.76)) for place in range(3)]
    assert ("share", "auc") not in series, "it was never defined"


def test_a_file_of_another_version_is_told_of(output):
    path = output / "demo" / "runs" / "day1" / "report" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    assert "its version is not 1" in recommenders(output)[0].runs[0].problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"version": 1}', "it is not a whole metrics.json: recipe: Field required"),
        ("", "it is not JSON"),
        ("[1]", "its version is not 1"),
    ],
)
def test_a_run_that_cannot_be_read_does_not_hide_the_others(output, content, said):
    path = output / "demo" / "runs" / "day2" / "report" / "metrics.json"
    path.write_text(content)
    demo = recommenders(output)[0]
    assert [run.name for run in demo.measured] == ["day1", "day4"] and said in demo.runs[1].problem
    every = CliRunner().invoke(mtl, ["report", str(output)])
    assert every.exit_code == 0 and said in (output / "index.html").read_text()
    one = CliRunner().invoke(mtl, ["report", str(path.parents[1])])
    assert one.exit_code == 2 and f"{path} cannot be read: {said}" in one.output
    with pytest.raises(ValueError, match=said):
        Run.load(path)


def test_a_later_versions_keys_are_no_hindrance(output):
    path = output / "demo" / "runs" / "day1" / "report" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"carbon": 3}))
    assert recommenders(output)[0].runs[0].content["carbon"] == 3


def test_the_page_links_to_every_run(output, hostile):
    html = write_index(output, recommenders(output)).read_text()
    for day in range(1, 5):
        assert f'href="demo/runs/day{day}/report/index.html"' in html
    assert 'href="demo/evaluations/day5/report/index.html"' in html
    assert "metrics.json cannot be read" in html
    assert "day1, pushed: 0.75 (0.74 to 0.76)" in html and "day2, not pushed: 0.75" in html
    assert hostile not in html and "http:" not in html and "https:" not in html
    below = write_index(output / "demo", recommenders(output / "demo")).read_text()
    assert 'href="runs/day1/report/index.html"' in below


def test_the_command_tells_a_run_from_a_folder_of_runs(output):
    one = CliRunner().invoke(mtl, ["report", str(output / "demo" / "latest")])
    assert one.exit_code == 0 and "Nothing changed since version 3." in one.output
    assert not (output / "index.html").exists()
    every = CliRunner().invoke(mtl, ["report", str(output)])
    assert every.exit_code == 0 and "demo: 4 run(s), 1 evaluation(s); day4: unchanged" in every.output
    assert (output / "index.html").is_file() and f"index:   {output / 'index.html'}" in every.output
