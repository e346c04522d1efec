import pytest

from pipeline.report.markdown import markdown
from pipeline.report.metrics_json import build_metrics


def test_verdict_first_then_tasks_gates_data_and_steps(facts):
    text = markdown(build_metrics(facts("refused")))
    assert text.startswith("# demo: Not pushed: refused by ")
    assert "\n- click is better than the serving model: AUC 0.750 against 0.720, +0.030" in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Tasks", "## Gates", "## Vectors", "## Data", "## Steps"]
    row = "| click | AUC | 0.750 | 0.740 to 0.760 | 0.720 | +0.030 | +0.020 to +0.040 | passed |"
    assert row in text.splitlines()
    assert "1,000 rows read: 700 train, 100 validation, 150 test, 40 dropped, 10 dead." in text
    assert "| train | 10 s | 1.4 GB |" in text.splitlines()


@pytest.mark.parametrize("ending", ["pushed", "refused", "failed", "unchanged"])
def test_tables_are_tables_whatever_names_hold(facts, hostile, ending):
    metrics = build_metrics(facts(ending))
    metrics["gates"].append(metrics["gates"][0] if metrics["gates"] else _gate())
    metrics["gates"][-1] = metrics["gates"][-1] | {"sentence": f"a | b\n{hostile} `c` *d*"}
    text = markdown(metrics)
    assert "a \\| b \\<script\\>alert" in text and "\\`c\\` \\*d\\*" in text
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("| "):
            bars = {line.replace("\\|", "").count("|") for line in lines}
            assert len(bars) == 1, block


def _gate():
    return {"status": "passed", "task": None, "metric": None, "slice": None, "gate": "schema"}


def test_a_failure_is_quoted_as_it_is(facts, hostile):
    text = markdown(build_metrics(facts("failed")))
    assert "# demo: Not pushed: the run failed" in text
    assert f"\n    no column 'is_click' in {hostile}\n" in text
