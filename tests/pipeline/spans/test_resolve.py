"""Which spans a run ingests, and which it trains on."""

import pytest

from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_digest
from pipeline.recipe import loads
from pipeline.span_run import anew
from pipeline.spans.resolve import resolve
from pipeline.spans.store import SpanStore, Version, catalog_digest

LOG = {day: [(1, "a", day + 0.2, "", 0), (2, "b", day + 0.8, "", 1)] for day in range(5)}


@pytest.fixture
def place(tmp_path, write):
    for day, rows in LOG.items():
        write(tmp_path / f"data/log/{day}.csv", rows)
    write(tmp_path / "data/orders/0.csv", [(1, "a", 0.3)])
    return tmp_path


@pytest.fixture
def run(shop, place):
    """Resolves a span's run, and remembers what it would have ingested."""

    def _run(day, recipe=shop, ingest=True, name=""):
        home = place / "home"
        store = SpanStore(home)
        found = resolve(recipe, "", place / "data", home, name or f"1970-01-0{day + 1}")
        for one in found.ingestions if ingest else ():
            for kind in ("examples", "statistics"):
                (home / kind / one.name).mkdir(parents=True, exist_ok=True)
            folders = [f"{kind}/{one.name}" for kind in ("examples", "statistics")]
            catalogs = sorted((place / "data").glob("items.csv"))
            digests = {"items": catalog_digest(map(file_digest, catalogs))} if catalogs else {}
            made = Version(one.version, one.content, one.made, *folders, "run", 2, 1, {}, digests)
            store.add(one.name, made)
        return found

    return _run


def ingested(found):
    return [(one.name, one.version) for one in found.ingestions]


def test_a_run_ingests_its_own_span_and_trains_on_those_that_were(run):
    first = run(0)
    assert ingested(first) == [("1970-01-01", 1)] and first.window == () and first.left_out == ()
    second = run(2)
    assert ingested(second) == [("1970-01-03", 1)]
    assert second.window == ("1970-01-01",) and second.left_out == ("1970-01-02",)
    assert ingested(run(2)) == []
    assert run(2).content == second.content != first.content
    assert run(4).window == ("1970-01-03",)  # three back, of which one was ingested


def test_an_ingestion_reads_the_files_of_its_span_alone(run):
    [one] = run(3).ingestions
    assert one.recipe.sources.log.files == ["log/3.csv"]
    assert (one.rows.start, one.rows.end, one.rows.since) == (3 * 86_400_000, 4 * 86_400_000, 3 * 86_400_000)
    assert one.recipe.splits.validation_from == "1970-01-04T18:00:00.000"


def test_late_rows_make_a_new_version_of_their_span(run, place, write):
    [run(day) for day in range(3)]
    write(place / "data/log/late.csv", [(7, "a", 1.5, "", 1)])
    found = run(3)
    assert ingested(found) == [("1970-01-02", 2), ("1970-01-04", 1)]
    assert found.ingestions[0].recipe.sources.log.files == ["log/1.csv", "log/late.csv"]
    [said] = anew(found)
    assert said.startswith("1970-01-02: ingested anew, as its rows or a catalog changed, events that may ")


def test_windows_that_close_make_new_versions_until_they_are_closed(run, place, write):
    run(0)
    assert ingested(run(0)) == []
    write(place / "data/orders/1.csv", [(2, "b", 1.5)])  # now something is known of the day after
    assert ingested(run(0)) == [("1970-01-01", 2)]
    write(place / "data/orders/3.csv", [(2, "b", 3.5)])  # all of its windows of two days are over
    assert ingested(run(0)) == [("1970-01-01", 3)]
    write(place / "data/orders/4.csv", [(1, "a", 4.5)])
    assert ingested(run(0)) == []
    assert resolve_until(run(0, ingest=False)) == []
    write(place / "data/orders/2.csv", [(1, "a", 2.1)])  # an order of that time that came late
    [one] = run(0).ingestions
    assert one.recipe.sources.events["orders"].files == ["orders/0.csv", "orders/1.csv", "orders/2.csv"]
    assert one.recipe.sources.events["orders"].complete_until == "1970-01-04T00:00:00.000"


def resolve_until(found):
    return [one.recipe.sources.events["orders"].complete_until for one in found.ingestions]


def test_another_recipe_of_ingestion_makes_all_anew_and_another_window_none(run, shop):
    [run(day) for day in range(2)]
    wider = shop.model_copy(update={"spans": shop.spans.model_copy(update={"window": 5})})
    assert ingested(run(2, wider, ingest=False)) == [("1970-01-03", 1)]
    labelled = shop.tasks["click"].model_copy(update={"label": "1 - click"})
    other = shop.model_copy(update={"tasks": shop.tasks | {"click": labelled}})
    found = run(1, other)
    assert ingested(found) == [("1970-01-01", 2), ("1970-01-02", 2)]
    said = "1970-01-01, 1970-01-02: ingested anew, as code or recipe reads it otherwise"
    assert anew(found) == [said]


def test_logs_may_be_deleted_once_they_are_ingested(run, place):
    [run(day) for day in range(2)]
    (place / "data/log/0.csv").unlink()
    found = run(2)
    assert found.window == ("1970-01-01", "1970-01-02") and ingested(found) == [("1970-01-03", 1)]


def test_the_same_span_without_its_log_is_the_same_run(run, place):
    run(0)
    found = run(1)
    (place / "data/log/1.csv").unlink()
    assert ingested(run(1)) == [] and run(1).content == found.content


def test_a_span_that_can_neither_be_used_nor_made_again_is_told(run, place, shop):
    [run(day) for day in range(2)]
    (place / "data/log/0.csv").unlink()
    labelled = shop.tasks["click"].model_copy(update={"label": "1 - click"})
    other = shop.model_copy(update={"tasks": shop.tasks | {"click": labelled}})
    found = run(2, other)
    assert found.lost == ("1970-01-01",) and found.window == ("1970-01-02",) and found.left_out == ()
    assert not run(2, ingest=False).lost
    with pytest.raises(DataError, match="no row of the span 1970-01-01"):
        run(0, other)


def test_hours_are_resolved_as_days_are(run, place, shop, write):
    """Where hours begin at half past."""
    hours = shop.spans.model_copy(update={"by": "hour", "window": 2, "utc_offset_hours": 5.5})
    recipe = shop.model_copy(update={"spans": hours})
    rows = [(n, "a", (n + 0.75) / 24, "", 1) for n in range(4)]  # a quarter after the half
    write(place / "data/log/0.csv", rows)
    home = place / "home"
    for n, name in enumerate(("06", "07", "08", "09")):
        found = run(None, recipe, name=f"1970-01-01T{name}")
        assert ingested(found) == [(f"1970-01-01T{name}", 1)]
        assert found.window == tuple(f"1970-01-01T{hour}" for hour in ("06", "07", "08")[max(0, n - 2) : n])
        [one] = found.ingestions
        assert one.rows.start == n * 3_600_000 + 1_800_000 and one.rows.end == one.rows.start + 3_600_000
        assert one.recipe.splits.validation_from == f"1970-01-01T0{n + 1}:15:00.000"
    assert SpanStore(home).has_later("1970-01-01T08") and not SpanStore(home).has_later("1970-01-01")


def test_a_version_whose_files_are_gone_is_ingested_again(run, place):
    run(0)
    (place / "home/examples/1970-01-01").rmdir()
    assert ingested(run(1)) == [("1970-01-01", 2), ("1970-01-02", 1)]


def test_a_span_without_rows_is_told_so(run):
    with pytest.raises(
        DataError, match="no row of the span 1970-01-09; its rows are of 1970-01-01 to 1970-01-05"
    ):
        run(8)


def test_a_changed_catalog_is_told_and_makes_new_versions_only_where_it_is_to(run, place, shop_text):
    items = place / "data/items.csv"
    items.write_text("item,price\na,1\n")
    catalog = "  catalogs: {items: {files: items.csv, key: item, columns: {item: string, price: float}}}\n"
    text = shop_text.replace("  events:\n", catalog + "  events:\n", 1)
    kept = loads(text)
    newest = loads(text.replace("window: 3}", "window: 3, catalogs: newest}"))
    for recipe in (kept, newest):
        assert ingested(run(0, recipe)) and not run(0, recipe).catalogs
        run(1, recipe)
        items.write_text(items.read_text() + f"{len(items.read_text())},2\n")
        second = run(2, recipe)
        if recipe is kept:
            assert ingested(second) == [("1970-01-03", 1)]
            assert second.catalogs == {"items": ["1970-01-01", "1970-01-02"]}
        else:
            assert [name for name, _ in ingested(second)] == ["1970-01-01", "1970-01-02", "1970-01-03"]
            assert not second.catalogs
        assert ingested(run(2, recipe)) == []
    (place / "data/log/0.csv").unlink()  # its rows are gone, so that it stays as it was
    items.write_text("item,price\na,9\n")
    last = run(2, newest)
    assert [name for name, _ in ingested(last)] == ["1970-01-02", "1970-01-03"]
    assert last.catalogs == {"items": ["1970-01-01"]}
