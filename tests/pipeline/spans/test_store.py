"""What is remembered of a span's runs."""

from pipeline.ingest.counts import Counts
from pipeline.report.sentences import kept_catalogs
from pipeline.spans.store import SpanStore, Version, version_of

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


def test_a_version_knows_what_its_catalogs_were_whatever_their_files_are_called(tmp_path):
    digests = {"log": {"a.csv": "1"}, "catalogs.items": {"one.csv": "7", "two.csv": "5"}, "events.orders": {}}
    given = {"version": 1, "content": "c", "made": "m", "run": "r"}
    found = []
    for names in (("one.csv", "two.csv"), ("b.csv", "a.csv")):
        digests["catalogs.items"] = dict(zip(names, ("7", "5"), strict=True))
        Counts(digests=digests).write(tmp_path / "counts.json")
        found.append(version_of(tmp_path, tmp_path, tmp_path, **given).catalogs)
    assert found[0] == found[1] and list(found[0]) == ["items"]
    store = SpanStore(tmp_path)
    store.add(DAY, version_of(tmp_path, tmp_path, tmp_path, **given))
    assert store.newest(DAY).catalogs == found[0]


def test_spans_that_keep_an_older_catalog_are_told():
    said = kept_catalogs({"items": ["2024-03-04", "2024-03-05", "2024-03-06"], "users": ["2024-03-05"]})
    assert said == [
        "items has changed: 3 spans, 2024-03-04 to 2024-03-06, keep what it said before (spans.catalogs)",
        "users has changed: 2024-03-05 keeps what it said before (spans.catalogs)",
    ]
