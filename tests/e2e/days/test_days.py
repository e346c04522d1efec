"""A recommender's first days: pushed, a day later compared and pushed, and a day that went wrong."""

import html
import shutil
from collections import Counter

import pyarrow.parquet as pq
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.digests import text_digest
from pipeline.evaluate import evaluate
from pipeline.metric_names import OF_RANKINGS
from pipeline.report.form import Metrics
from serving import audit, versions


def test_the_first_run_is_pushed(days):
    first = days["first"]
    assert (first.code, first.metrics["status"], first.metrics["blessed"]) == (0, "pushed", True)
    assert days["after_first"].name == "1"
    rows = first.metrics["rows"]
    assert rows["read"] == rows["train"] + rows["validation"] + rows["test"] + rows["dropped"] + rows["dead"]
    assert rows["read"] > 20_000
    assert all(task["baseline"] is None for task in first.metrics["tasks"].values())
    said = [g["sentence"] for g in first.metrics["gates"]]
    assert any("there is no serving model yet" in s for s in said)
    assert any("answered over gRPC and REST, by a process without this project" in s for s in said)


def test_pushes_by_runs_are_in_the_audit_log_and_listed(days):
    serving = days["first"].folder.parents[1] / "serving"
    lines, unreadable = audit.entries(serving)
    pushes = [(e["what"], e["from"], e["to"]) for e in lines]
    there = versions.versions(serving)
    assert pushes == [("push", one, two) for one, two in zip([None, *there], there, strict=False)]
    assert lines[0]["why"] == f"run {days['first'].folder.name} was blessed" and not unreadable
    record = versions.record(serving / "1")
    assert record["recipe"] == text_digest((days["first"].folder / "recipe.yaml").read_text())
    shown = CliRunner().invoke(mtl, ["models", "list", str(serving.parents[1])])
    value = days["first"].metrics["tasks"]["click"]["metrics"]["auc"]
    assert shown.exit_code == 0 and f"click auc {value:.4f}" in shown.output


def test_what_earlier_rows_tell_is_published_for_an_online_store(days):
    online = days["first"].folder.parents[1] / "online"
    assert sorted(p.name for p in online.iterdir()) == ["item_id.parquet", "user_id.parquet"]
    # of the newest ingestion
    users = pq.read_table(online / "user_id.parquet")
    assert len(users) > 30 and max(len(items) for items in users["recent_items"].to_pylist()) == 3
    rates = pq.read_table(online / "item_id.parquet")["item_rate"].to_numpy()
    assert ((rates >= 0) & (rates <= 1)).all() and rates.std() > 0


def test_negatives_left_out_are_counted_and_corrected(days):
    metrics = days["first"].metrics
    dropped = metrics["rows"]["dropped_reasons"]
    assert dropped["downsampled"] > 0.4 * metrics["rows"]["train"]
    # sampled as they were, likes would be predicted about twice as often as they happen
    assert 0.5 < metrics["tasks"]["like"]["metrics"]["calibration"] < 1.5


def test_events_are_all_accounted_for(days):
    rows = days["first"].metrics["rows"]
    assert rows["events"]["purchase"]["matched"] > 50 and "events" in rows


def test_every_metrics_json_is_of_the_documented_form(days):
    found = [day.folder / "report" / "metrics.json" for day in days.values() if hasattr(day, "folder")]
    read = [Metrics.model_validate_json(path.read_text()) for path in found]
    assert {one.status for one in read} == {"pushed", "refused"}
    first = read[0]
    assert set(first.memory) == set(first.seconds) - {"total"} and min(first.memory.values()) > 1e8
    assert {row.task for row in first.reliability} == {"click", "like", "purchase", "reaction", "depth"}
    assert {row.score for row in first.reliability} == {"prediction"}


def test_a_model_evaluated_by_itself_measures_as_its_run_did(place, days, nine_days, tmp_path, small):
    """The examples of a run, and logs."""
    serving = place / "output" / "demo" / "serving"
    cases = [
        (days["first"], serving / "1", days["first"].folder / "examples", (*small, *nine_days)),
        (days["next_day"], days["after_next_day"], place / "data", small),
    ]
    for day, model, source, settings in cases:
        code = evaluate(place / "recipe.yaml", model, source, tmp_path, settings)
        [folder] = (tmp_path / "demo" / "evaluations").iterdir()
        found = Metrics.model_validate_json((folder / "report" / "metrics.json").read_text())
        assert (code, found.status, found.serving_model) == (0, "evaluated", None)
        assert {n: t.metrics for n, t in found.tasks.items()} == {
            n: {m: v for m, v in t["metrics"].items() if m not in OF_RANKINGS}
            for n, t in day.metrics["tasks"].items()
        }
        assert {g.sentence for g in found.gates} & {g["sentence"] for g in day.metrics["gates"]}
        assert (found.rows is not None) == (source == place / "data")
        assert (folder / "report" / "index.html").is_file()
        shutil.rmtree(folder)


def test_metrics_json_has_what_was_promised(days):
    metrics = days["first"].metrics
    assert {"recipe", "run", "blessed", "pushed", "rows", "tasks", "seconds", "versions"} <= set(metrics)
    click = metrics["tasks"]["click"]
    assert {"auc", "gauc", "logloss", "calibration"} <= set(click["metrics"])
    assert click["intervals"]["auc"][0] < click["metrics"]["auc"] < click["intervals"]["auc"][1]
    assert {"mae", "rmse"} <= set(metrics["tasks"]["watch_time"]["metrics"])
    assert {"accuracy", "macro_f1", "logloss"} <= set(metrics["tasks"]["reaction"]["metrics"])
    assert 0 <= metrics["tasks"]["depth"]["metrics"]["mae"] < 3
    assert 0.5 < metrics["tasks"]["seconds"]["metrics"]["calibration"] < 1.5
    assert metrics["tasks"]["purchase"]["examples"] < click["examples"]  # known only where clicked
    assert metrics["references"]["click"]["ceiling"]["auc"] > click["metrics"]["auc"]
    slices = {s["slice"].split("=")[0] for s in metrics["slices"]}
    assert slices == {"surface", "device", "new_user", "new_item"}
    assert metrics["training"]["epochs"][0]["gate_use"]
    counts = Counter(gate["status"] for gate in metrics["gates"])
    assert f"({counts['passed']} passed, {counts['skipped']} skipped)" in metrics["reason"]
    page = (days["first"].folder / "report" / "index.html").read_text()
    assert f"{counts['passed']} passed, 0 failed, {counts['skipped']} skipped" in page


def test_the_run_folder_holds_everything(days):
    folder = days["first"].folder
    for name in (
        "report/index.html",
        "report/metrics.json",
        "report/gates.xml",
        "report/summary.md",
        "recipe.yaml",
        "log.txt",
        "requests.jsonl",
        "tensorboard",
    ):
        assert (folder / name).exists(), name
    page = (folder / "report/index.html").read_text()
    assert 'src="http' not in page and 'href="http' not in page


def test_one_more_day_is_compared_and_pushed(days):
    metrics = days["next_day"].metrics
    assert (days["next_day"].code, metrics["status"]) == (0, "pushed")
    assert metrics["tasks"]["click"]["baseline"]["auc"] > 0.5
    assert int(days["after_next_day"].name) > int(days["after_first"].name)
    assert metrics["pushed"] == str(days["after_next_day"])


def gates_of(outcome, task):
    """slice -> what each gate of a task said of it."""
    found = {}
    for gate in outcome.metrics["gates"]:
        if gate["task"] == task:
            found.setdefault(gate["slice"], []).append((gate["status"], gate["sentence"]))
    return found


def test_the_first_run_compares_nothing_and_the_next_day_all(days):
    first, later = (gates_of(days[run], "click")["overall"] for run in ("first", "next_day"))
    assert [status for status, _ in first] == ["passed", "skipped", "skipped"]
    assert "rank_correlation is not compared: there is no serving model yet" in first[2][1]
    assert [status for status, _ in later] == ["passed", "passed", "passed"]
    assert "rank_correlation 0." in later[2][1] and "above the lower bound 0.100" in later[2][1]
    [_, (status, said)] = gates_of(days["next_day"], "purchase")["overall"]
    assert status == "passed" and "the serving model's" in said and "the difference's 95 % interval" in said


def test_shuffled_labels_of_one_task_are_refused(days):
    refused = days["shuffled"]
    metrics = refused.metrics
    assert (refused.code, metrics["status"], metrics["pushed"]) == (3, "refused", None)
    assert "like: auc" in metrics["reason"] and "below" in metrics["reason"]
    assert "purchase" not in metrics["reason"] and "depth" not in metrics["reason"]
    assert {n: t["gate"] for n, t in metrics["tasks"].items()} == {
        "reaction": "none",
        "depth": "pass",
        "seconds": "none",
        "click": "fail",
        "like": "fail",
        "watch_time": "none",
        "purchase": "pass",
    }
    assert days["after_shuffled"] == days["after_next_day"]


def test_labels_flipped_on_one_segment_are_refused_by_its_slice_alone(days):
    click = gates_of(days["shuffled"], "click")
    assert [status for status, _ in click["overall"][:2]] == ["passed", "passed"]
    assert "above the lower bound 0.520" in click["overall"][0][1]
    [(status, said)] = click["device=tablet"]
    assert status == "failed" and said.startswith("click: auc 0.") and "(slice device=tablet, " in said
    assert "is below the serving model's 0." in said and "more than the 0.060 allowed" in said
    assert said in days["shuffled"].metrics["reason"]
    assert said in html.unescape((days["shuffled"].folder / "report" / "index.html").read_text())
    [(status, _)] = gates_of(days["next_day"], "click")["device=tablet"]
    assert status == "passed"
