"""`mtl fuse` on a run's folder whose validation rows are scored; the scoring itself is in tests/e2e."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.fuse.fuse import fuse
from pipeline.fuse.validation import CannotFuse
from pipeline.recipe import RecipeError, load, loads
from pipeline.recipe.dump import resolved

RECIPE = """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns:
      user: string
      page: string
      item: string
      clicked: {type: int, known: after}
      bought: {type: int, known: after}
      seconds: {type: float, known: after}
      stars: {type: int, known: after}
      what: {type: string, known: after}
roles: {user: user, request: page}
features: {item: {kind: categorical}}
tasks:
  click: {kind: binary, label: clicked}
  buy: {kind: binary, label: bought, where: clicked == 1}
  watch: {kind: regression, label: seconds}
  stars: {kind: ordinal, label: stars, classes: 3}
  what: {kind: multiclass, label: what, classes: [a, b]}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: mmoe, experts: 2, units: [8]}, embedding_dim: 4}
weighting: {name: equal}
evaluation: {replicates: 40}
gates: none
fuse: {maximize: {buy: 2, click: 1}, unknown_as_zero: [buy], candidates: 60}
serving: {score: {click: 1, buy: 1}}
"""
ROWS, REQUESTS = 2000, 200


def scores() -> dict:
    draw = np.random.default_rng(5)
    request = np.sort(draw.integers(0, REQUESTS, ROWS))
    click, buy, watch = draw.beta(1, 5, ROWS), draw.beta(1, 9, ROWS), draw.normal(20, 5, ROWS)
    clicked = draw.random(ROWS) < click
    bought = clicked & (draw.random(ROWS) < 5 * buy)
    stars = draw.dirichlet(np.ones(3), ROWS)
    columns = {
        "role/request": pa.array([f"p{r}" for r in request]),
        "role/user": pa.array([f"u{r // 4}" for r in request]),
        "click/label": clicked,
        "buy/label": np.where(clicked, bought, 0.0),
        "watch/label": np.maximum(watch + draw.normal(0, 5, ROWS), 0),
        "stars/label": (stars @ np.arange(3)).round(),
        "what/label": draw.integers(0, 2, ROWS),
        "click/prediction": click,
        "buy/prediction": buy,
        "watch/prediction": watch,
        "stars/prediction": pa.FixedSizeListArray.from_arrays(pa.array(stars.reshape(-1)), 3),
    }
    for task in ("click", "buy", "watch", "stars", "what"):
        columns[f"{task}/mask"] = np.where(clicked, 1.0, 0.0) if task == "buy" else np.ones(ROWS)
        columns[f"{task}/weight"] = columns[f"{task}/mask"]
    return {n: np.asarray(v, float) if isinstance(v, np.ndarray) else v for n, v in columns.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop") / "runs" / "20260101T000000Z"
    for name in ("model/Format-Serving", "examples", "fuse", "report"):
        (folder / name).mkdir(parents=True)
    (folder / "recipe.yaml").write_text(resolved(loads(RECIPE)))
    (folder / "report/metrics.json").write_text(json.dumps({"pushed": "/x/serving/7"}))
    pq.write_table(pa.table(scores()), folder / "fuse/validation.parquet")
    return folder


def facts(run) -> dict:
    return json.loads((run / "fuse/fuse.json").read_text())


def test_the_patch_is_the_chosen_point_with_where_it_comes_from(run, tmp_path, capfd):
    assert fuse(run) == 0
    shown, text = capfd.readouterr().out, (run / "fuse/patch.yaml").read_text()
    chosen = facts(run)["chosen"]
    assert yaml.safe_load(text) == {"serving": {"score": chosen["weights"], "fusion": "sum"}}
    for told in (
        "# run:        20260101T000000Z\n",
        "# model:      version 7\n",
        f"# validation: 2,000 rows, {REQUESTS} requests\n",
        "# objective:  mean ndcg_at_k (k = 10) of buy (2), click (1)\n",
        f"# value:      {chosen['mean']:.4f} (95 % interval ",
        "# search:     61 points, seed 1\n",
        "# date:       20",
        "# This reorders only items that were shown",
    ):
        assert told in text
    assert "This reorders only items that were shown" in shown and "Pareto front" in shown
    assert "buy: the order matters in " in shown and "have nothing to find and do not count" in shown
    # as any user has it: over the recipe, in a file of its own
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    patched = load(tmp_path / "recipe.yaml", [f"@{run / 'fuse/patch.yaml'}"])
    assert patched.score_weights == chosen["weights"] and patched.serving.fusion == "sum"
    assert patched.tasks == loads(RECIPE).tasks


def test_what_is_told_is_what_the_points_are(run):
    assert fuse(run) == 0
    found = facts(run)
    with (run / "fuse/points.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert len(points) == found["tried"] == 61
    front = [p for p in points if p["on_front"] == "1"]
    assert sorted(float(p["mean"]) for p in front) == sorted(p["mean"] for p in found["front"])
    [chosen] = [p for p in points if p["chosen"] == "1"]
    assert float(chosen["mean"]) == found["chosen"]["mean"] >= max(float(p["mean"]) for p in points) - 1e-9
    assert [p["now"] for p in points] == ["1"] + ["0"] * 60
    assert (float(points[0]["weight/click"]), float(points[0]["weight/buy"])) == (1, 1)
    low, high = found["interval"]
    assert low < found["chosen"]["mean"] < high
    picture = ElementTree.parse(run / "fuse/front.svg").getroot()
    circles = picture.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) >= 61 + len(front)


def test_the_metrics_are_those_of_the_patch_on_the_same_rows(run):
    from sklearn.metrics import ndcg_score

    assert fuse(run) == 0
    table, chosen = scores(), facts(run)["chosen"]
    score = sum(w * table[f"{t}/prediction"] for t, w in chosen["weights"].items())
    request = np.array(table["role/request"].to_pylist())
    for task in ("click", "buy"):
        worth = []
        for one in np.unique(request):
            at = request == one
            if table[f"{task}/label"][at].any():
                worth.append(
                    ndcg_score(table[f"{task}/label"][at][None], score[at][None], k=10)
                    if at.sum() > 1
                    else 1.0
                )
        assert chosen["metrics"][task] == pytest.approx(np.mean(worth), abs=1e-9)


def test_the_same_twice_but_for_the_date(run):
    texts = []
    for _ in range(2):
        assert fuse(run, ["serving.fusion=product"]) == 0
        texts.append((run / "fuse/patch.yaml").read_text())
    assert "fusion: product" in texts[0]
    same = [[line for line in text.splitlines() if "# date" not in line] for text in texts]
    assert same[0] == same[1]


def test_tasks_of_other_kinds_are_fused_and_looked_for(run):
    settings = (
        "serving.score={click: 1, watch: 0.02, stars: 0.1}",
        "fuse={maximize: {watch: 1, stars: 1}, candidates: 60}",
    )
    assert fuse(run, settings) == 0
    found = facts(run)
    assert list(found["chosen"]["weights"]) == ["click", "watch", "stars"]
    assert 0.8 < found["chosen"]["metrics"]["watch"] < 1
    # shares are of what a prediction varies by: seconds get a smaller weight than probabilities
    assert found["chosen"]["weights"]["watch"] < 0.5


def test_bounds_that_nothing_keeps_exit_3_and_leave_no_patch(run, capfd):
    assert fuse(run) == 0
    assert fuse(run, ["fuse.bounds=[{task: click, lower: 0.99}]"]) == 3
    shown = capfd.readouterr().out
    assert "None of 61 points keeps the bounds" in shown and "0.9900 asked" in shown
    assert not (run / "fuse/patch.yaml").exists() and facts(run)["chosen"] is None


def test_a_bound_is_kept(run):
    wanted = "maximize: {buy: 1}, unknown_as_zero: [buy], candidates: 60"
    assert fuse(run, [f"fuse={{{wanted}}}"]) == 0
    free = facts(run)["chosen"]
    assert fuse(run, [f"fuse={{{wanted}, bounds: [{{task: click, max_drop: 0}}]}}"]) == 0
    kept, now = facts(run)["chosen"], facts(run)["now"]
    assert kept["metrics"]["click"] >= now["metrics"]["click"] - 1e-9
    assert now["mean"] <= kept["mean"] <= free["mean"]
    assert "click at least " in (run / "fuse/patch.yaml").read_text()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["fuse=null"], r"does not say what to look for.*\n  fuse:\n    maximize: \{click: 1, buy: 1\}"),
        (["training.epochs=3"], "changes training, which the run's model was made with"),
        (["serving.score={click: 1}"], "of one task .click., which orders rows alike whatever its weight"),
    ],
)
def test_what_cannot_be_fused(run, settings, told):
    with pytest.raises(CannotFuse, match=told):
        fuse(run, settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["fuse.maximize={what: 1}"], "fuse.maximize.what: what is multiclass: its classes have no order"),
        (["fuse.maximize={clik: 1}"], "fuse.maximize.clik: is not a task; did you mean 'click'"),
        (["fuse.maximize={click: 0}"], "fuse.maximize.click: should be greater than 0"),
        (
            ["fuse={maximize: {watch: 1}, metric: recall_at_k}"],
            "recall_at_k takes binary tasks; watch is regression, which takes ndcg_at_k",
        ),
        (["fuse.bounds=[{task: click}]"], "fuse.bounds.0: a bound needs lower or max_drop"),
        (
            ["fuse.bounds=[{task: click, lower: 0.1}, {task: click, max_drop: 0.1}]"],
            "fuse.bounds.1.task: is bounded above already",
        ),
        (["fuse.unknown_as_zero=[watch]"], "fuse.unknown_as_zero.0: is in neither maximize nor bounds"),
        (["serving={score: {click: 1, watch: 1}, fusion: product}"], "product takes probabilities; watch is"),
    ],
)
def test_what_a_recipe_cannot_ask_for(run, settings, told):
    with pytest.raises(RecipeError, match=told):
        fuse(run, settings)


def test_requests_are_needed():
    with pytest.raises(RecipeError, match="fuse .*orders rows within requests and needs roles.request"):
        loads(RECIPE.replace(", request: page", ""))


def spoiled(run, tmp_path, **columns):
    """The run with other columns of scores."""
    folder = tmp_path / "runs" / "20260101T000000Z"
    for name in ("model/Format-Serving", "examples", "fuse"):
        (folder / name).mkdir(parents=True)
    (folder / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    table = scores() | {name.replace("__", "/"): values for name, values in columns.items()}
    pq.write_table(pa.table(table), folder / "fuse/validation.parquet")
    return folder


def test_rows_in_no_request_are_told(run, tmp_path, capfd):
    keys = scores()["role/request"].to_pylist()
    other = spoiled(run, tmp_path, role__request=pa.array([None] * 100 + keys[100:]))
    assert fuse(other) == 0
    assert "; 100 rows are in no request" in capfd.readouterr().out
    assert "# model:      the run's, which was not pushed" in (other / "fuse/patch.yaml").read_text()


@pytest.mark.parametrize(
    ("columns", "settings", "told"),
    [
        (
            {"role__request": pa.array([None] * ROWS, pa.string())},
            [],
            "none of the 2,000 validation rows has a",
        ),
        (
            {"role__request": pa.array([f"p{i}" for i in range(ROWS)])},
            [],
            "in none of 2,000 requests do rows of known label differ, so no score orders them better",
        ),
        (
            {"buy__mask": np.zeros(ROWS)},
            ["fuse.unknown_as_zero=[]"],
            r"2,000 rows have no label, which `fuse: \{unknown_as_zero: \[buy\]\}` takes for 0",
        ),
        (
            {"watch__label": np.full(ROWS, -1.0)},
            ["fuse={maximize: {watch: 1}}"],
            r"watch has labels below 0 \(down to -1\)",
        ),
        ({"buy__prediction": np.full(ROWS, np.nan)}, [], "numbers that are not finite for buy"),
    ],
)
def test_rows_that_tell_nothing(run, tmp_path, columns, settings, told):
    with pytest.raises(CannotFuse, match=told):
        fuse(spoiled(run, tmp_path, **columns), settings)


@pytest.mark.parametrize("content", ["", '{"version": 1}', "[]"])
def test_a_report_that_is_cut_off_is_told_of(run, content):
    path = run / "report/metrics.json"
    whole = path.read_text()
    path.write_text(content)
    try:
        with pytest.raises(CannotFuse, match="is not a whole metrics.json"):
            fuse(run)
    finally:
        path.write_text(whole)


def test_a_folder_that_is_no_run_and_a_run_without_a_model(run, tmp_path):
    with pytest.raises(CannotFuse, match="is not the folder of a run: it has no recipe.yaml"):
        fuse(tmp_path)
    later = run.parent / "20260102T000000Z"
    later.mkdir()
    (later / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    with pytest.raises(CannotFuse, match=f"had nothing to do, or ended before; {run} has one"):
        fuse(later)
