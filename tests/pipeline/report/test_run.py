import json

import pytest

from pipeline.report.run import Run
from pipeline.report.write import write_report


def test_a_written_run_comes_back_as_frames(facts, tmp_path):
    written = write_report(facts("pushed"), tmp_path / "report")
    run = Run.load(tmp_path)
    assert run.metrics == written == Run.load(tmp_path / "report" / "metrics.json").metrics

    auc = run.tasks.set_index(["task", "metric"]).loc[("click", "auc")]
    assert (auc.value, auc.low, auc.high, auc.baseline, auc["reference/propensity"]) == (
        0.75, 0.74, 0.76, 0.72, 0.8,
    )  # fmt: skip
    assert (auc.kind, auc.gate, auc.examples) == ("binary", "pass", 900)
    assert run.slices.slice.tolist()[1] == "tab=1"
    assert run.gates.status.tolist() == ["passed", "passed", "passed"]
    assert run.training.index.tolist() == [1, 2, 3]
    assert run.training["losses/click"].tolist() == pytest.approx([0.5, 0.25, 0.5 / 3])
    assert run.training.loc[3, "gate_use/click/expert_1"] == 0.75


def test_a_failed_run_has_empty_frames(facts, tmp_path):
    write_report(facts("failed"), tmp_path / "report")
    run = Run.load(tmp_path / "report")
    assert run.tasks.empty and run.slices.empty and run.gates.empty and run.training.empty


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is it the folder of a run"):
        Run.load(tmp_path)


@pytest.mark.parametrize("ending", ["pushed", "refused", "failed", "unchanged"])
def test_report_is_two_files_and_written_twice_is_the_same(facts, tmp_path, ending):
    write_report(facts(ending), tmp_path)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(first) == {"index.html", "metrics.json"}
    assert json.loads(first["metrics.json"])["status"] == ending
    write_report(facts(ending), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
