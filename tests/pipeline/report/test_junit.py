"""What JUnit readers ask for: counts that agree, unique names, one outcome a case, text that XML can hold."""

from collections import Counter
from xml.etree import ElementTree

import pytest

from pipeline.report.junit import junit
from pipeline.report.metrics_json import build_metrics


def suite_of(metrics):
    root = ElementTree.fromstring(junit(metrics).encode())
    assert root.tag == "testsuites"
    (suite,) = root
    cases = list(suite.iter("testcase"))
    known = {"tests", "failures", "errors", "time", "name"}  # of either, in Jenkins' junit-10.xsd
    assert set(root.attrib) == known and set(suite.attrib) - {"timestamp"} == known | {"skipped"}
    for counted in (root, suite):
        assert int(counted.get("tests")) == len(cases)
        for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            if count in counted.attrib:
                assert int(counted.get(count)) == sum(case.find(tag) is not None for case in cases)
        assert float(counted.get("time")) >= 0
    names = Counter((case.get("classname"), case.get("name")) for case in cases)
    assert set(names.values()) == {1}, names
    return suite


@pytest.mark.parametrize("ending", ["pushed", "refused", "failed", "unchanged"])
def test_counts_agree_and_names_are_unique(facts, ending):
    metrics = build_metrics(facts(ending))
    suite = suite_of(metrics)
    assert len(suite) == 1 + len(metrics["gates"])


def test_a_failed_gate_is_a_failure_with_its_sentence(facts):
    suite = suite_of(build_metrics(facts("refused")))
    cases = {(c.get("classname"), c.get("name")): c for c in suite}
    failure = cases["demo.watch_time", "mae in overall"].find("failure")
    assert failure.get("message").startswith("watch_time: mae 25.400 is above the bound 20.000")
    assert failure.text == failure.get("message")
    # a gate with two bounds
    assert {name for _, name in cases} >= {"auc in overall", "auc in overall (2)"}
    assert suite.get("timestamp") == "2026-01-01T00:00:00"


def test_a_failed_run_is_an_error(facts, hostile):
    (case,) = suite_of(build_metrics(facts("failed")))
    assert case.find("error").text == f"ingest: no column 'is_click' in {hostile}"


def test_signs_that_xml_has_not(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["gates"][0]["sentence"] = "a\x00b\x1bc\ud800\n"
    text = next(c for c in suite_of(metrics) if "auc" in c.get("name")).find("system-out").text
    assert text == "a\ufffdb\ufffdc\ufffd\n"
