"""What is remembered of a span's runs."""

from pipeline.spans.store import SpanStore, Version

DAY = "2024-03-05"


def version(number, run):
    return Version(number, f"content {number}", "made", "examples", "statistics", run, 9, 3, {})


def test_a_span_has_drifted_until_it_is_ingested_anew_or_let_pass(tmp_path):
    store = SpanStore(tmp_path)
    for folder in ("examples", "statistics"):
        (tmp_path / folder).mkdir()
    assert not store.drifted(DAY)
    store.add(DAY, version(1, "20240306T020000Z"))
    assert not store.drifted(DAY)
    store.add_run(DAY, "20240306T020000Z", "f", "refused", "drift: ...", True)
    assert store.drifted(DAY)
    store.add_run(DAY, "20240306T090000Z", "f", "pushed", "all is well", False)
    assert not store.drifted(DAY)
    store.add_run(DAY, "20240306T100000Z", "f", "refused", "drift: ...", True)
    store.add(DAY, version(2, "20240307T020000Z"))  # by the run of the day after
    assert not store.drifted(DAY)
