"""Catalogs that the model will hold are written beside the examples, as they are joined."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.held_catalogs import held_catalog, link_catalogs, read_catalogs
from pipeline.ingest.run import ingest


@pytest.mark.parametrize("join", ["in_memory", "by_key"])
def test_key_and_columns_known_before_of_every_usable_row(shop, tmp_path, join):
    data = tmp_path / "data"
    data.mkdir()
    lines = [f"{i % 4},{'abc'[i % 3]},{1709251200000 + i},1,{i % 2}" for i in range(60)]
    (data / "log.csv").write_text("user,item,at,price,clicked\n" + "\n".join(lines) + "\n")
    (data / "items.csv").write_text("item,brand,sold\na,x,1\nb,,2\n,z,3\nnever shown,y,4\n")
    items = {
        "files": "items.csv",
        "key": "item",
        "join": join,
        "serving": "in_model",
        "columns": {"item": "string", "brand": "string", "sold": {"type": "int", "known": "after"}},
    }
    recipe = shop(sources={"catalogs": {"items": items}}, features={"brand": {"kind": "categorical"}})
    out = tmp_path / "examples"
    stale = held_catalog(out, "gone")
    stale.parent.mkdir(parents=True)
    stale.touch()
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    ingest(recipe, data, out, beam.Pipeline(options=options))
    assert not stale.exists()
    [found] = read_catalogs(out, recipe).values()
    assert found.to_pylist() == [
        {"item": "a", "brand": "x"},
        {"item": "b", "brand": None},
        {"item": "never shown", "brand": "y"},
    ]
    (tmp_path / "graph").mkdir()
    link_catalogs(out, tmp_path / "graph")
    assert read_catalogs(tmp_path / "graph", recipe)["items"].equals(found)


def test_nothing_is_written_of_catalogs_on_request(shop, tmp_path):
    assert not read_catalogs(tmp_path, shop())
    (tmp_path / "graph").mkdir()
    link_catalogs(tmp_path, tmp_path / "graph")
    assert not list((tmp_path / "graph").iterdir())
