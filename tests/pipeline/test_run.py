"""Spans one after another, where the data of one are not there."""

import json

from pipeline.run import run_spans
from tests.pipeline.test_notify import server


def test_spans_that_were_left_are_told_with_what_to_give(root, tmp_path, monkeypatch, capfd):
    settings = ("spans={by: day, window: 2}", "notify.webhook=SHOP_WEBHOOK")
    given = root / "data/demo/recipe.yaml", tmp_path, tmp_path / "output", settings, True
    with server(200) as (url, got):
        monkeypatch.setenv("SHOP_WEBHOOK", url)
        assert run_spans(*given, "2024-03-04", "2024-03-06") == 4
    [(_, _, body)] = got  # the days after it were not begun
    sent = json.loads(body)
    assert sent["span"] == "2024-03-04" and ", span 2024-03-04, failed" in sent["text"]
    first, *_, last = capfd.readouterr().out.splitlines()
    assert first.startswith("demo: run ") and ", span 2024-03-04, in " in first
    assert "2024-03-04 ended with 4, and 2024-03-05 to 2024-03-06 were not run" in last
    assert "`--from 2024-03-04 --to 2024-03-06`" in last and "`--from 2024-03-05 --to 2024-03-06`" in last
    with server(200) as (url, got):
        monkeypatch.setenv("SHOP_WEBHOOK", url)
        assert run_spans(*given, "2024-03-06", "2024-03-06") == 4
    assert "were not run" not in capfd.readouterr().out
