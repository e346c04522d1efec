import json

import pytest

from pipeline import Run
from pipeline.report.write import write_report


def test_a_written_run_comes_back_as_frames(facts, tmp_path):
    written = write_report(facts("pushed"), tmp_path / "report")
    run = Run.load(tmp_path)
    assert run.content == written == Run.load(tmp_path / "report" / "metrics.json").content

    auc = run.metrics.set_index(["task", "metric"]).loc[("click", "auc")]
    assert (auc.value, auc.low, auc.high, auc.baseline, auc["reference/propensity"]) == (
        0.75, 0.74, 0.76, 0.72, 0.8,
    )  # fmt: skip
    assert (auc.kind, auc.gate, auc.examples) == ("binary", "pass", 900)
    assert run.slices.slice.tolist()[1] == "tab=1"
    assert run.gates.status.tolist() == ["passed", "passed", "passed"]
    assert run.history.index.tolist() == [1, 2, 3]
    assert run.history["losses/click"].tolist() == pytest.approx([0.5, 0.25, 0.5 / 3])
    assert run.reliability.query("score == 'prediction'").mean_prediction.tolist() == [0.1, 0.4]
    assert run.steps.set_index("step").loc["train"].tolist() == [10.0, 1_400_000_000, False]
    assert run.dead_letters.rows.tolist() == [10, 1]
    vectors = run.vectors.set_index(["feature", "where"])
    shift = vectors["shift"].dropna().to_dict()
    assert shift == {("picture", "training"): 0.0125, ("picture", "serving"): 0.75}
    of = vectors.loc[("picture", "serving")]
    assert of[["encoder", "norm/median", "rows"]].tolist() == ["two", 1.25, 140]
    assert vectors.loc[("own", "shown"), "absent"] == 150 and ("own", "serving") not in vectors.index
    assert run.history.loc[3, "gate_use/click/expert_1"] == 0.75


def test_a_failed_run_has_empty_frames(facts, tmp_path):
    write_report(facts("failed"), tmp_path / "report")
    run = Run.load(tmp_path / "report")
    frames = (run.metrics, run.slices, run.gates, run.history, run.reliability, run.steps, run.dead_letters)
    frames += (run.vectors,)
    assert all(frame.empty for frame in frames)
    assert "diff_low" in run.slices and "metric" in run.metrics and "mean_label" in run.reliability


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is it the folder of a run"):
        Run.load(tmp_path)


@pytest.mark.parametrize("ending", ["pushed", "refused", "failed", "unchanged"])
def test_report_is_four_files_and_written_twice_is_the_same(facts, tmp_path, ending):
    write_report(facts(ending), tmp_path)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(first) == {"index.html", "metrics.json", "gates.xml", "summary.md"}
    assert json.loads(first["metrics.json"])["status"] == ending
    write_report(facts(ending), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
