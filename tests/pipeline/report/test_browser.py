"""The pages in a real browser, where there is one: see benchmarks/browser.py."""

import importlib.util

import pytest

from pipeline.evaluation.table import MetricRow, MetricsTable
from pipeline.report.facts import RunFacts
from pipeline.report.history import recommenders
from pipeline.report.index import write_index
from pipeline.report.numbers import difference_interval_text, difference_text, interval_text, metric_text
from pipeline.report.write import write_report


@pytest.fixture(scope="module")
def browser(root):
    """A headless Chromium."""
    pytest.importorskip("websocket")
    spec = importlib.util.spec_from_file_location("browser", root / "benchmarks" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.found() is None:
        pytest.skip("no chromium on PATH; test_page.py holds the page's text against every way out of it")
    with module.Browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [1440, 390])
def test_no_request_no_error_and_nothing_wider_than_the_window(facts, tmp_path, browser, width):
    write_report(facts("pushed"), tmp_path / "runs" / "day1" / "report")
    pages = [tmp_path / "runs/day1/report/index.html", write_index(tmp_path, recommenders(tmp_path))]
    for page in pages:
        found = browser.open(page, width)
        assert (found["requests"], found["errors"], found["wider"]) == ([], [], 0)


SLICES = {  # of AUC: value, low, high; the serving model's; the difference's interval
    "tab=1": (0.70, 0.69, 0.71, 0.72, -0.03, -0.01),
    "tab=2": (0.60, 0.40, 0.80, 0.61, -0.20, 0.18),
    "tab=3": (0.7812, 0.7806, 0.7818, 0.75, 0.0306, 0.0318),
    "age=9": (0.65, 0.64, 0.66, 0.66, -0.0102, -0.0001),
}


@pytest.fixture
def slices(tmp_path, browser):
    """The page with these slices, and what its table's rows say; `change` sets a control."""
    numbers = {s: (v, b, low, high, *ends) for s, (v, low, high, b, *ends) in SLICES.items()}
    rows = [MetricRow("click", s, "auc", *of, examples=90 - len(s)) for s, of in numbers.items()]
    rows.append(MetricRow("click", "age=4", "auc", 0.2, 0.9, examples=3))  # too few rows for an interval
    whole = MetricRow("click", "overall", "auc", 0.7, 0.69, 0.69, 0.71, -0.01, 0.02, examples=400)
    table = MetricsTable([whole, *rows])
    facts = RunFacts("demo", "day1", "refused", "no", kinds={"click": "binary"}, table=table)
    write_report(facts, tmp_path)
    browser.open(tmp_path / "index.html", 1440)

    def change(control, value, event="change"):
        browser.evaluate(
            f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event({event!r})) }})"
            f"(document.getElementById('slice-{control}'))"
        )

    def shown():
        return browser.evaluate(
            "[...document.querySelectorAll('#slice-table tbody tr')]"
            ".map(tr => [...tr.children].map(td => td.innerText))"
        )

    return change, shown


def test_slices_are_worst_first_searched_filtered_and_sorted(slices):
    change, shown = slices

    def order():
        return [row[0].splitlines()[0] for row in shown()]

    # by the better end of the difference's interval: the widest interval is not the worst slice
    assert order() == ["1", "9", "3", "2", "4"]
    change("order", "below")
    assert (order()[0], order()[-1]) == ("9", "4"), "surely below all rows; not sure of anything"
    change("order", "name")
    assert order() == ["4", "9", "1", "2", "3"]
    change("feature", "tab")
    assert order() == ["1", "2", "3"]
    change("find", "TAB 2", "input")
    assert order() == ["2"]
    change("find", "nothing like it", "input")
    assert order() == []


def test_the_scripts_numbers_are_those_of_the_rest_of_the_page(slices):
    _, shown = slices
    for row in shown():
        feature = row[0].splitlines()
        if feature[0] == "4":
            continue
        value, low, high, baseline, *ends = SLICES[f"{feature[1]}={feature[0]}"]
        assert row[2].splitlines() == [metric_text(value, (low, high)), interval_text((low, high))]
        difference = difference_text(value - baseline, ends)
        assert row[3].splitlines() == [difference, difference_interval_text(ends)]


def test_what_is_pointed_at_is_explained(slices, browser):
    tip = browser.evaluate(
        "(e => { e.dispatchEvent(new Event('focusin', {bubbles: true}));"
        " const tip = document.querySelector('.tip');"
        " return [getComputedStyle(tip).visibility, tip.textContent] })(document.querySelector('abbr'))"
    )
    assert tip[0] == "visible" and tip[1].startswith("Area under the ROC curve")
