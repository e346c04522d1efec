"""A webhook that is told why a run gave no new model."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.recipe import Recipe
from pipeline.runners.buckets import SCHEME, remotely

_TRIES, _WAIT, _TIMEOUT = 3, 1.0, 5.0  # seconds; together under half a minute
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def notify(recipe: Recipe, metrics: Mapping[str, Any], run_dir: Path, span: str = "") -> str:
    """Tells the recipe's webhook, where it has one, of a run that was refused or failed.

    The request is a POST of JSON: `text`, which Slack, Mattermost and their like show; `recipe`, `run`,
    `span` (null without spans), `status`, `reason`, `sentences` (of the gates that failed), `report` and
    `host`. The address is a credential: it is in an environment variable that the recipe names, and nothing
    that is said has it.

    Args:
      recipe: of the run.
      metrics: the content of metrics.json.
      run_dir: of the run.
      span: that it is of; "" where it is of none.

    Returns:
      What came of it, for a person; empty where there was nothing to do. Nothing is raised: that nobody can
      be told changes nothing about the run.
    """
    if recipe.notify is None:
        return ""
    variable = recipe.notify.webhook
    url = os.environ.get(variable, "")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        what = "is not an http:// or https:// address" if url else "is not set"
        return f"the environment variable {variable} {what}: nobody is told when a run is refused or fails"
    if metrics["status"] not in ("refused", "failed"):
        return ""
    problem = _post(url, _message(metrics, run_dir, span))
    return f"could not be told: {problem}" if problem else "was told"


def _message(metrics: Mapping[str, Any], run_dir: Path, span: str) -> dict[str, Any]:
    sentences = [gate["sentence"] for gate in metrics["gates"] if gate["status"] == "failed"]
    report = remotely(str(run_dir / "report" / "index.html"))
    where = report if report.startswith(SCHEME) else f"{socket.gethostname()}:{report}"
    lines = [
        f"{metrics['recipe']}: run {metrics['run']}{f', span {span},' if span else ''} {metrics['status']}",
        *(sentences or [metrics["reason"]]),
    ]
    return {
        "text": "\n".join([*lines, where]),
        "recipe": metrics["recipe"],
        "run": metrics["run"],
        "span": span or None,
        "status": metrics["status"],
        "reason": metrics["reason"],
        "sentences": sentences,
        "report": report,
        "host": socket.gethostname(),
    }


def _post(url: str, message: dict[str, Any]) -> str:
    """What went wrong; empty where nothing did."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import ReadTimeoutError
    from urllib3.util import Retry

    again = Retry(
        _TRIES - 1,
        backoff_factor=_WAIT,
        status_forcelist=_AGAIN,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for an hour
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=again))
        session.mount("https://", HTTPAdapter(max_retries=again))
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "backslashreplace")
        headers = {"Content-Type": "application/json"}
        try:
            answer = session.post(url, body, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:  # its text has the address
            reason = getattr(error.args[0], "reason", None) if error.args else None
            if isinstance(reason, ReadTimeoutError):
                return f"no answer in {_TIMEOUT:g} s, {_TRIES} times; it may have the message all the same"
            return f"{type(error).__name__} (no answer after {_TRIES} tries)"
    return "" if answer.ok and not answer.is_redirect else f"it answered {answer.status_code}"
