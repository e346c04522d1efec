"""What a run's output ends with, as a terminal and as a pipe show it."""

import io

from rich.console import Console

from pipeline.report.metrics_json import build_metrics
from pipeline.report.summary import summary


def shown(metrics, wide, piped):
    file = io.StringIO()
    Console(file=file, width=wide, soft_wrap=piped, highlight=False).print(summary(metrics))
    return file.getvalue().splitlines()


def test_a_gates_further_lines_stand_below_its_sentence_and_a_pipe_gets_one_line(facts):
    metrics = build_metrics(facts("refused"))
    sentence = f"click: {'much too low ' * 12}indeed"
    metrics["gates"] = [{"status": "failed", "sentence": sentence}]
    lines = shown(metrics, 60, piped=False)
    first = next(i for i, line in enumerate(lines) if line.startswith("  FAIL  click: "))
    below = lines[first + 1 : -2]
    assert below and all(line.startswith(" " * 8) and len(line) <= 60 for line in below)
    assert " ".join(line.strip() for line in lines[first:-2])[6:] == sentence
    assert lines[-2].strip() == "refused by 1 gate. Nothing was pushed: version 3 keeps"
    assert f"  FAIL  {sentence}" in shown(metrics, 60, piped=True)


def test_a_tasks_gate_stands_once_in_the_row_of_its_first_metric(facts):
    metrics = build_metrics(facts("refused"))
    metrics["tasks"]["watch_time"]["metrics"]["rmse"] = 30.0
    rows = [line.split() for line in shown(metrics, 200, piped=True) if line.startswith("watch_time ")]
    assert [row[1] for row in rows] == ["mae", "rmse"]
    assert [row[-1] == "fail" for row in rows] == [True, False]


def test_a_number_beyond_all_measure_keeps_the_table(facts):
    metrics = build_metrics(facts("refused"))
    metrics["tasks"]["watch_time"]["metrics"]["mae"] = 3.0000000005497757e38
    metrics["tasks"]["watch_time"]["intervals"]["mae"] = [1e38, 4e38]
    [row] = [line.split() for line in shown(metrics, 200, piped=True) if line.startswith("watch_time ")]
    assert row[1:6] == ["mae", "3e+38", "1e+38", "–", "4e+38"]


def test_rows_that_were_of_no_use_are_told_by_kind(facts):
    metrics = build_metrics(facts("refused"))
    rows = {"read": 1000, "train": 700, "validation": 150, "test": 128, "dropped": 1, "dead": 21}
    kinds = [{"rows": n, "kind": f"kind {n}", "source": "log"} for n in (1, 2, 3, 4, 5, 6)]
    metrics["rows"] = metrics["rows"] | rows | {"dead_letters": kinds}
    lines = [line.strip() for line in shown(metrics, 200, piped=True)]
    assert "rows  1,000 read: 700 train, 150 validation, 128 test, 1 dropped, 21 dead" in lines
    [dead] = [line for line in lines if line.startswith("dead  ")]
    assert dead.startswith("dead  6 x kind 6 (log); 5 x kind 5 (log);") and "; 1 more kinds: " in dead
    metrics["rows"] |= {"dead": 0, "dead_letters": []}
    assert not [line for line in shown(metrics, 200, piped=True) if line.startswith("  dead")]
