"""Compressed files that are cut off, or not compressed at all, are named."""

import gzip

import pytest

from pipeline.ingest.errors import DataError
from pipeline.ingest.read_csv import header
from pipeline.ingest.read_jsonl import first_keys
from pipeline.recipe.parts import Log

SOURCE = Log.model_validate({"files": "x", "columns": {"a": "int"}})


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a,b\n1,2\n" * 1000)[:30], b"a,b\n1,2\n"], ids=["cut", "plain"]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_bad_gz(tmp_path, content, ending):
    path = tmp_path / f"log.{ending}.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="log.*gz: cannot be read"):
        header(path, SOURCE) if ending == "csv" else first_keys(path)
