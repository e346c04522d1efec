"""The gates' verdicts as JUnit XML, which CI systems show as tests.

One `testsuites` of one `testsuite`, a `testcase` a verdict with `failure` or `skipped` inside, as the task
JUnitReport of Apache Ant writes them and the readers of Jenkins, GitLab and GitHub take them
(github.com/testmoapp/junitxml).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from pipeline.evaluation.gates import counted

# What XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(words: Any) -> str:
    return _NOT_XML.sub("\ufffd", str(words))


def _case_name(gate: Mapping[str, Any], seen: Counter) -> str:
    """The same in every run, unlike the sentence; numbered where a task, metric and slice has several."""
    parts = [gate["metric"] or gate["gate"], *([gate["slice"]] if gate["slice"] else [])]
    name = " in ".join(parts) if gate["metric"] else parts[0]
    seen[gate["task"], name] += 1
    count = seen[gate["task"], name]
    return name if count == 1 else f"{name} ({count})"


def junit(metrics: Mapping[str, Any]) -> str:
    """The content of metrics.json as JUnit XML.

    Each verdict is a case, its class the recipe and task. A case `run` says whether the run came to an end; a
    run that failed has an `error` there, so that the file always has a case and never hides a failure.
    """
    recipe, found = metrics["recipe"], counted(gate["status"] for gate in metrics["gates"])
    counts = {
        "tests": str(len(metrics["gates"]) + 1),
        "failures": str(found.failed),
        "errors": str(int(metrics["failure"] is not None)),
        "skipped": str(found.skipped),
        "time": f"{metrics['seconds']['total']:.3f}",
    }
    # Jenkins' schema knows no `skipped` of all suites together
    overall = {name: value for name, value in counts.items() if name != "skipped"}
    suites = ElementTree.Element("testsuites", {"name": _text(recipe), **overall})
    when = {"timestamp": metrics["started"][:19]} if metrics["started"] else {}
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": _text(f"{recipe} {metrics['run']}"), **counts, **when}
    )
    took = {"time": counts["time"]}
    run = ElementTree.SubElement(suite, "testcase", {"classname": _text(recipe), "name": "run", **took})
    if metrics["failure"]:
        message = f"{metrics['failure']['step']}: {metrics['failure']['message']}"
        _inside(run, "error", message, metrics["failure"]["step"])
    seen: Counter = Counter()
    for gate in metrics["gates"]:
        owner = f"{recipe}.{gate['task']}" if gate["task"] else recipe
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": _text(owner), "name": _text(_case_name(gate, seen)), "time": "0"},
        )
        if gate["status"] == "failed":
            _inside(case, "failure", gate["sentence"], gate["gate"])
        elif gate["status"] == "skipped":
            ElementTree.SubElement(case, "skipped", {"message": _text(gate["sentence"])})
        else:
            ElementTree.SubElement(case, "system-out").text = _text(gate["sentence"])
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
    )


def _inside(case: ElementTree.Element, tag: str, message: str, kind: str) -> None:
    first = message.splitlines()[0] if message else ""
    ElementTree.SubElement(case, tag, {"message": _text(first), "type": _text(kind)}).text = _text(message)
