"""What a recipe with spans must have, and what `mtl run --span` may be given."""

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe import RecipeError, loads

RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log.csv",
            "columns": {"user": "int", "at": "time", "clicked": {"type": "int", "known": "after"}},
        }
    },
    "roles": {"user": "user", "time": "at"},
    "features": {"user": {"kind": "categorical"}},
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "spans": {"by": "day"},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}


def load(**parts):
    return loads(yaml.safe_dump({**RECIPE, **parts}, sort_keys=False))


def test_spans_need_a_time_and_every_row():
    assert load().spans.window == 7
    with pytest.raises(RecipeError, match="need roles.time, a column of the log of type time"):
        load(roles={"user": "user"})
    with pytest.raises(RecipeError, match="cannot go with downsampling"):
        load(downsampling={"task": "click", "keep": 0.5})
    with pytest.raises(RecipeError, match=r"spans.validation"):
        load(spans={"by": "day", "validation": 1})


def test_skew_is_of_columns_that_a_request_has():
    files = "requests/*.parquet"
    assert load(skew={"requests": files, "columns": {"user": 1}}).skew.requests == [files]
    with pytest.raises(RecipeError, match=r"skew.columns.clicked .*is no column that a request has"):
        load(skew={"requests": files, "columns": {"clicked": 1}})


@pytest.mark.parametrize(
    ("given", "spans", "said"),
    [
        (["--span", "2022-05-2"], {"by": "day"}, "'2022-05-2' is no day; write it as 2022-05-02, or last"),
        (["--span", "2022-05-02"], None, "the recipe has no `spans:`"),
        (
            ["--from", "2022-05-03", "--to", "2022-05-02"],
            {"by": "day"},
            "2022-05-03 is later than 2022-05-02",
        ),
        (["--from", "2022-05-03"], {"by": "day"}, "give --span, or --from and --to, or none of them"),
    ],
)
def test_what_is_no_span_exits_2_before_anything_is_made(tmp_path, given, spans, said):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "spans": spans}))
    output = tmp_path / "output"
    found = CliRunner().invoke(mtl, ["run", str(tmp_path / "recipe.yaml"), "--output", str(output), *given])
    assert found.exit_code == 2 and said in " ".join(found.output.split()) and not output.exists()
