"""The webhook, against a server on this machine."""

import contextlib
import http.server
import json
import socket
import threading

import pytest

from pipeline import notify as notifying
from pipeline.evaluation.gates import Verdict
from pipeline.notify import notify
from pipeline.recipe import load
from pipeline.report.facts import RunFacts
from pipeline.report.metrics_json import build_metrics

SECRET = "T0KEN"


@pytest.fixture(scope="module")
def recipe(root):
    return load(root / "data/demo/recipe.yaml", ("notify.webhook=SHOP_WEBHOOK",))


@pytest.fixture
def metrics():
    failed = Verdict("failed", "click auc is 0.51, below the bound 0.6 — “ö”", "click", "auc")
    passed = Verdict("passed", "like auc is 0.7", "like", "auc")
    facts = RunFacts("demo", "20261127T020000Z", "refused", failed.sentence, verdicts=[passed, failed])
    return build_metrics(facts)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(notifying, "_WAIT", 0.01)


@contextlib.contextmanager
def server(*answers):
    """Answers with these codes, the last again and again; gives its address and what it got."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            code = answers[min(len(got), len(answers)) - 1]
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/hooks/{SECRET}", got
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_it_gets_the_gate_s_sentence(recipe, metrics, tmp_path, monkeypatch):
    with server(200) as (url, got):
        monkeypatch.setenv("SHOP_WEBHOOK", url)
        assert notify(recipe, metrics, tmp_path, "2024-03-05") == "was told"
    [(path, headers, body)] = got
    sent = json.loads(body)
    assert path == f"/hooks/{SECRET}" and headers["Content-Type"] == "application/json"
    assert sent["sentences"] == [metrics["gates"][1]["sentence"]] and sent["status"] == "refused"
    first, second, third = sent["text"].splitlines()
    assert first == "demo: run 20261127T020000Z, span 2024-03-05, refused" and second == sent["sentences"][0]
    assert third.endswith(str(tmp_path / "report" / "index.html"))


@pytest.mark.parametrize(
    ("answers", "tries", "said"),
    [
        ((503, 429, 200), 3, "was told"),
        ((500,), 3, "could not be told: it answered 500"),
        ((404,), 1, "could not be told: it answered 404"),
        ((302,), 1, "could not be told: it answered 302"),
    ],
)
def test_it_is_tried_again_a_few_times_where_that_may_help(
    recipe, metrics, tmp_path, monkeypatch, answers, tries, said
):
    with server(*answers) as (url, got):
        monkeypatch.setenv("SHOP_WEBHOOK", url)
        assert notify(recipe, metrics, tmp_path) == said
    assert len(got) == tries


def test_what_cannot_be_reached_or_hangs_is_said_without_the_address(recipe, metrics, tmp_path, monkeypatch):
    monkeypatch.setattr(notifying, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port, why in (
            (silent.getsockname()[1], "no answer in 0.2 s, 3 times; it may have the message all the same"),
            (9, "ConnectionError (no answer after 3 tries)"),
        ):
            monkeypatch.setenv("SHOP_WEBHOOK", f"http://127.0.0.1:{port}/hooks/{SECRET}")
            said = notify(recipe, metrics, tmp_path)
            assert said == f"could not be told: {why}"
            assert SECRET not in said and "127.0.0.1" not in said
    monkeypatch.setenv("SHOP_WEBHOOK", f"http://no such host/{SECRET}")
    assert "could not be told" in notify(recipe, metrics, tmp_path)


def test_nobody_is_told_of_a_push(recipe, metrics, tmp_path, monkeypatch):
    with server(200) as (url, got):
        monkeypatch.setenv("SHOP_WEBHOOK", url)
        assert notify(recipe, {**metrics, "status": "pushed"}, tmp_path) == ""
    assert got == []


@pytest.mark.parametrize("url", [None, "", "ftp://host/x", "hooks/x", "file:///etc/passwd"])
def test_a_variable_that_is_no_address_is_told_after_every_run(recipe, metrics, tmp_path, monkeypatch, url):
    monkeypatch.delenv("SHOP_WEBHOOK", raising=False)
    if url is not None:
        monkeypatch.setenv("SHOP_WEBHOOK", url)
    for status in ("pushed", "refused"):
        assert "nobody is told" in notify(recipe, {**metrics, "status": status}, tmp_path)


def test_it_is_no_part_of_what_steps_depend_on(recipe):
    sections = [name for name in type(recipe).model_fields if name != "notify"]
    assert recipe.part(*sections).notify is None


def test_a_run_that_fails_tells_it_and_its_exit_code_stays(root, tmp_path, monkeypatch, capfd):
    from pipeline.run import run

    given = root / "data/demo/recipe.yaml", tmp_path, tmp_path / "output", ("notify.webhook=SHOP_WEBHOOK",)
    for code, said in ((200, "webhook: was told"), (404, "webhook: could not be told: it answered 404")):
        with server(code) as (url, got):
            monkeypatch.setenv("SHOP_WEBHOOK", url)
            assert run(*given) == 4
        assert said in capfd.readouterr().out
        assert "no file matches" in json.loads(got[0][2])["text"]
    for path in (tmp_path / "output").rglob("*"):
        assert not path.is_file() or SECRET not in path.read_text()
