import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.report.form import Metrics
from pipeline.report.metrics_json import build_metrics
from pipeline.report.page import render_page

ENDINGS = ["pushed", "refused", "unchanged", "failed"]
VOID = {"meta", "br", "link", "input", "img"}


class Page(HTMLParser):
    """Elements, their attributes and the text, and whether tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.script, self.open, self.ids = [], "", "", [], []
        self.feed(html)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.text += " "
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            self.script += data
        elif "style" not in self.open:
            self.text += data


@pytest.fixture
def page(facts):
    def render(ending):
        found = facts(ending)
        html = render_page(build_metrics(found), found.recipe_text, found.pictures)
        return html, Page(html)

    return render


@pytest.mark.parametrize("ending", ENDINGS)
def test_needs_no_network_and_says_so_to_the_browser(page, ending):
    html, parsed = page(ending)
    assert not re.search(
        r"https?:|[\"'(=]//|url\(|@import|fetch\(|XMLHttp|import\(|WebSocket|sendBeacon", html
    )
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.elements}
    assert all(not name.startswith("on") for _, attrs in parsed.elements for name in attrs)
    images = [attrs["src"] for tag, attrs in parsed.elements if tag == "img"]
    images += [attrs["href"] for tag, attrs in parsed.elements if tag == "image"]
    assert all(uri.startswith("data:image/") for uri in images)
    assert all(tag == "img" or "src" not in attrs for tag, attrs in parsed.elements)
    assert len(images) >= (6 if ending in ("pushed", "refused") else 0)
    assert [attrs["href"] for tag, attrs in parsed.elements if tag == "link"] == ["data:,"]
    (policy,) = [a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    script = html[html.rindex("<script>") + len("<script>") : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("ending", ENDINGS)
def test_links_lead_somewhere_and_ids_are_unique(page, ending):
    _, parsed = page(ending)
    links = [attrs["href"][1:] for tag, attrs in parsed.elements if tag == "a"]
    assert links and set(links) <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


@pytest.mark.parametrize("ending", ENDINGS)
def test_hostile_words_are_shown_not_run(page, hostile, ending):
    html, parsed = page(ending)
    assert "<script>alert" not in html and html.count("<script>") == 1
    assert ending == "unchanged" or hostile in parsed.text
    assert ending in ("unchanged", "failed") or "\\u003cscript\\u003ealert" in html, "in the slices' data"


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("pushed", ["Pushed", "out/demo/serving/4", "3 passed, 0 failed"]),
        (
            "refused",
            ["Not pushed: refused by", "watch_time: mae 25.400 is above the bound 20.000", "version 3 keeps"],
        ),
        ("unchanged", ["Nothing new to push", "Nothing changed since version 3."]),
        (
            "failed",
            [
                "the run failed in ingest",
                "no column 'is_click'",
                "Not reached: transform, train.",
                "No rows were",
            ],
        ),
    ],
)
def test_says_how_the_run_ended(page, ending, said):
    _, parsed = page(ending)
    for words in said:
        assert words in " ".join(parsed.text.split()), words


def test_vectors_stand_beside_training_and_the_serving_model(page, hostile):
    text = " ".join(page("pushed")[1].text.split())
    parts = "0.0125, of which the mean 0.0100 and the covariance 0.0025"
    chance = "two random halves of training's items are 0.0200 apart"
    assert f"Shift from training's vectors: {parts}; {chance}." in text
    parts = "0.7500, of which the mean 0.5000 and the covariance 0.2500"
    assert f"Shift from version 3's vectors: {parts}." in text
    assert "picture vision, encoder pixels, 16 numbers" in text
    assert f"2.0 % of the evaluated rows have no vector: 3 × no content {hostile}." in text
    assert "Of 10 items in all, 2 have none: 2 × no content." in text
    assert "Evaluated rows Training Version 3 Rows 150 700 140" in text
    assert "Length, median 1.0000 1.0000 1.2500" in text and "Dead numbers 1 of 16 0 of 16 0 of 16" in text
    assert "9 items, 3 of them not in training" in text
    assert "Shift from training's vectors has no value: there are no vectors." in text
    assert "Shift from the serving model's vectors is not known: version 3 kept nothing." in text
    assert "100.0 % of the evaluated rows have no vector: 150 × the row has none." in text
    assert "Vectors" not in page("unchanged")[1].text or "Evaluated rows" in page("unchanged")[1].text


def test_what_age_costs_stands_apart_for_labels_that_come_late(facts):
    def aged(age, version, auc):
        of = {"age": age, "span": f"2024-03-0{9 - age}", "version": version, "auc": auc}
        return of | {"interval": None, "note": None if auc else "has no such task"}

    ages = {
        "rows": 1200,
        "tasks": {"click": [aged(0, "", 0.75), aged(2, "7", 0.7)]},
        "late": [
            {"span": "2024-03-09", "rows": 900, "tasks": {"buy": [aged(0, "6", 0.8), aged(1, "5", None)]}}
        ],
    }
    found = replace(facts("pushed"), staleness=ages)
    html = render_page(build_metrics(found), found.recipe_text, found.pictures)
    text = " ".join(Page(html).text.split())
    assert "on 1,200 test rows. Task new model 2024-03-09 2 old 2024-03-07, version 7 click 0.750" in text
    assert "The same on 900 rows of 2024-03-09, the newest with labels of buy" in text
    assert "of that span 2024-03-09, version 6 1 old 2024-03-08, version 5 buy 0.800" in text
    assert "has no such task" in text


def test_tasks_stand_beside_serving_model_and_reference(page):
    text = " ".join(page("pushed")[1].text.split())
    assert "AUC propensity 0.800 0.750 0.740 to 0.760 0.720 +0.030 ▲ +0.020 to +0.040" in text
    assert "GAUC 0.700 0.690 to 0.710 0.710 −0.010 ▼ −0.030 to −0.010" in text
    assert "MAE constant 31.20 25.40 30.10 −4.70" in text
    assert "it needs examples of both classes" in text
    assert "1,000 rows read = 950 written + 40 dropped + 10 dead." in text


def test_every_metric_is_explained(page):
    _, parsed = page("pushed")
    explained = {a["data-tip"] for tag, a in parsed.elements if tag == "abbr"}
    assert any(tip.startswith("Area under the ROC curve") and "Higher is better" in tip for tip in explained)
    assert all(tip in parsed.text for tip in explained), "also where there is no pointer"


def test_dead_rows_have_a_place_and_a_reason(page, facts):
    text = " ".join(page("pushed")[1].text.split())
    assert "no such item items has no row for item 'z' day1.csv, row 1,234 10 1.0 %" in text
    assert "price: not a float catalogs.items price: '" in text and "i.csv, row 2 1 25.0 %" in text
    metrics = build_metrics(facts("pushed"))
    metrics["rows"]["dead_letters"] = []
    text = " ".join(Page(render_page(metrics)).text.split())
    assert "Dead, by reason Reason Rows Of those read no such item 10 1.0 %" in text


def test_counts_that_do_not_add_up_are_pointed_out(facts):
    metrics = build_metrics(facts("pushed"))
    assert "do not add up" not in render_page(metrics)
    metrics["rows"]["dead"] = 11
    assert "do not add up" in render_page(metrics)


def test_charts_have_a_text_alternative(page):
    html, parsed = page("pushed")
    charts = [attrs for tag, attrs in parsed.elements if tag == "svg" and attrs.get("role") == "img"]
    # A reliability curve; objective and weights; a validation metric for two tasks; the one known loss; map.
    assert len(charts) == 1 + 2 + 2 + 1 + 1
    assert html.count("<desc>") == len(charts)
    assert "click: in the highest bin 0.4 was predicted and 0.5 happened." in html
    assert "click: training loss over epochs 1 to 3: click ends at 0.1667. Epoch 2 was chosen." in html


def test_what_was_tuned_is_told(page):
    assert "<p>Tuning: of 1 trials (2 asked) number 1 won &lt;b&gt;&amp;.</p>" in page("pushed")[0]


@pytest.mark.parametrize("part", ["losses", "task_weights", "validation", "objective", "gate_use", "seconds"])
def test_history_may_lack_parts(facts, part):
    metrics = build_metrics(facts("pushed"))
    for epoch in metrics["training"]["epochs"]:
        del epoch[part]
    assert "Training" in Page(render_page(metrics)).text


def test_history_may_be_nearly_empty(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["training"] = {"epochs": [{}]}
    assert "1 epoch." in " ".join(Page(render_page(metrics)).text.split())
    metrics["training"] = {}
    assert "Which experts" not in render_page(metrics)


def test_what_became_of_events_and_long_lists(facts):
    text = " ".join(Page(render_page(build_metrics(facts("pushed")))).text.split())
    assert "share 31 21 5 4 3 2" in text
    assert "Lists cut to their max_length Reason Rows Of those read tags 7 0.7 %" in text


def test_steps_have_their_time_and_memory(page):
    text = " ".join(page("pushed")[1].text.split())
    assert "ingest 1.5 s 300 MB train 10 s 1.4 GB total 12 s 1.4 GB" in text


def test_calibration_has_its_place(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["training"]["calibration"] = {
        "click": {
            "method": "platt",
            "rows": 900,
            "parameters": {"slope": 1.1},
            "problem": None,
            "validation": {"before": {"ece": 0.03}, "after": {"ece": 0.01}},
        }
    }
    text = " ".join(Page(render_page(metrics)).text.split())
    assert "click platt, slope 1.1 900 0.0300 → 0.0100" in text


def test_k_is_that_of_the_recipe(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["tasks"]["click"]["metrics"]["ndcg_at_k"] = 0.5
    assert "NDCG@7" in render_page(metrics, "evaluation: {k: 7}")
    assert "NDCG@k" in render_page(metrics)


@pytest.mark.parametrize(("cosine", "shade", "text"), [(-0.004, "plus", "+0.00"), (-0.3, "minus", "−0.30")])
def test_a_cosine_that_rounds_to_0_is_no_conflict(facts, cosine, shade, text):
    metrics = build_metrics(facts("pushed"))
    for epoch in metrics["training"]["epochs"]:
        epoch["gradients"] = {"cosines": {"click and share": cosine}}
    html = render_page(metrics)
    assert len(re.findall(rf'<td class="{shade}"[^>]*cosine[^>]*>{re.escape(text)}<', html)) == 2


def test_a_span_says_where_each_task_was_judged_and_which_catalogs_changed(facts):
    why = "click has no labels yet; the run of 2024-03-09 is the first that can judge it"
    judged = {
        "watch_time": {"span": "2024-03-03", "unseen": "2024-03-03", "why": ""},
        "click": {"span": "", "unseen": "2024-03-07", "why": why},
        "share": {"span": "2024-03-07", "unseen": "2024-03-07", "why": ""},
    }
    span = {"name": "2024-03-07", "spans": [], "left_out": [], "judged": judged}
    metrics = build_metrics(replace(facts("pushed"), span=span | {"catalogs": {"items": ["2024-03-04"]}}))
    lost = build_metrics(replace(facts("pushed"), span=span | {"lost": ["2024-03-02"]}))
    assert " Not trained on, as they were ingested by other code or for another recipe" in render_page(lost)
    assert [metrics["tasks"][task]["span"] for task in judged] == ["2024-03-03", None, "2024-03-07"]
    text = " ".join(Page(render_page(metrics)).text.split())
    assert (
        "watch_time is judged on 2024-03-03, the newest with labels, and trained on those before it." in text
    )
    assert f"click is not judged: {why}. items has changed: 2024-03-04 keeps what it said before" in text
    assert "share is judged on" not in text
    assert "of whose labels of this task nothing was learned" in text and "rows, of 2024-03-03" in text
    Metrics.model_validate_json(json.dumps(metrics))
