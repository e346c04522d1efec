"""Every kind of mistake in a recipe: its place, its value, and what would be right."""

import subprocess
import sys

import pytest

from pipeline.recipe import RecipeError, load, loads
from pipeline.recipe.dump import resolved

GOOD = """
version: 1
name: shop
sources:
  log:
    files: logs/*.parquet
    columns:
      user: int
      item: {type: string, column: product}
      at: {type: time, unit: s}
      price: float
      words: {type: "list[string]", separator: " "}
      clicked: {type: int, known: after}
      paid: {type: float, known: after}
      p_click: {type: float, known: after}
  catalogs:
    items:
      files: items.csv
      key: item
      columns: {item: string, category: string, since: date}
roles: {user: user, item: item, time: at}
derived:
  age: days(at) - since
features:
  user: {kind: categorical, min_count: 2}
  item: {kind: categorical, hash_buckets: 100}
  words: {kind: categorical, max_length: 3}
  price: {kind: numeric, scaling: log_standard}
  age_bucket: {kind: buckets, column: age, count: 4}
tasks:
  click: {kind: binary, label: clicked}
  spend: {kind: regression, label: paid, where: clicked == 1}
splits: {by: time, validation_from: 2024-01-08, test_from: 2024-01-09}
model:
  architecture: {name: mmoe, experts: 4}
weighting: {name: uncertainty}
gates:
  - {task: click, metric: auc, lower: 0.6, max_drop: 0.01}
evaluation:
  slices: [category]
  references: {click: {truth: p_click}}
"""


def problems(text: str, settings: tuple[str, ...] = ()) -> str:
    with pytest.raises(RecipeError) as error:
        loads(text, "shop.yaml", settings)
    return str(error.value)


def test_good_recipe():
    recipe = loads(GOOD)
    assert recipe.columns["item"].column == "product"
    assert list(recipe.input_columns) == ["user", "item", "at", "price", "words", "since"]
    assert set(recipe.example_columns) == {*recipe.input_columns, "category"}
    assert recipe.splits.test_from == "2024-01-09"
    assert recipe.model.architecture.experts == 4


MISTAKES = [
    # (what is written, what is written instead, parts of the message)
    ("min_count: 2", "min_cout: 2", ["features.user.min_cout (line 25)", "did you mean 'min_count'"]),
    ("kind: buckets", "kind: bucket", ["features.age_bucket.kind", "did you mean 'buckets'", "'bucket'"]),
    ("experts: 4", "experts: many", ["model.architecture.experts", "'many'", "whole number"]),
    ("name: mmoe", "name: mmmoe", ["model.architecture.name", "did you mean 'mmoe'"]),
    ("name: mmoe, experts", "experts", ["model.architecture.name", "is missing", "hard_sharing"]),
    ("name: uncertainty", "name: uncertain", ["weighting.name", "did you mean 'uncertainty'"]),
    ("label: clicked", "label: clickd", ["tasks.click.label", "is not a column", "did you mean 'clicked'"]),
    ("label: clicked", "label: price", ["tasks.click.label", "known before the impression"]),
    ("label: clicked", "label: clicked == ", ["tasks.click.label", "cannot be read"]),
    ("label: clicked", "label: __import__('os')", ["tasks.click.label", "unknown function '__import__'"]),
    ("label: clicked", "label: clicked.real", ["tasks.click.label", "is not allowed"]),
    ("label: paid", "label: category", ["tasks.spend.label", "is a string"]),
    ("where: clicked == 1", "where: clicked", ["tasks.spend.where", "a condition is needed"]),
    ("where: clicked == 1", "where: category > 'a'", ["tasks.spend.where", "orders texts"]),
    ("where: clicked == 1", "where: category == 1", ["tasks.spend.where", "mixes int and string"]),
    ("price: {kind: numeric", "paid: {kind: numeric", ["features.paid", "known only after the impression"]),
    ("days(at) - since", "days(at) - clicked", ["derived.age", "known only after the impression"]),
    ("days(at) - since", "dayz(at) - since", ["derived.age", "did you mean 'days'"]),
    ("days(at) - since", "days(at, 1, 2)", ["derived.age", "takes 1 to 2"]),
    ("days(at) - since", "days(category)", ["derived.age", "is a string; a number is needed"]),
    (
        "words: {kind: categorical, max_length: 3}",
        "words: {kind: categorical}",
        ["features.words.max_length", "list[string]"],
    ),
    (
        "price: {kind: numeric, scaling: log_standard}",
        "category: {kind: numeric}",
        ["features.category.kind", "is string, which fits categorical"],
    ),
    ("hash_buckets: 100", "hash_buckets: 100, min_count: 3", ["features.item", "leave out min_count"]),
    ("key: item", "key: itm", ["sources.catalogs.items.key", "did you mean 'item'"]),
    (
        "price: float",
        "price: float\n      cost: {type: float, column: price}",
        ["sources.log.columns.cost", "reads what the file calls 'price', as price does"],
    ),
    (
        "item: string, category",
        "item: int, category",
        ["sources.catalogs.items.columns.item.type", "which is string"],
    ),
    (
        "category: string",
        "price: float",
        ["sources.catalogs.items.columns.price", "sources.log has a column"],
    ),
    ("user: user, item", "user: usr, item", ["roles.user", "did you mean 'user'"]),
    ("time: at", "time: price", ["roles.time", "must be of type time"]),
    ("2024-01-09", "2024-01-07", ["splits.test_from", "later than validation_from"]),
    ("2024-01-09", "tomorrow", ["splits.test_from", "ISO date", "'tomorrow'"]),
    ("by: time", "by: tme", ["splits.by", "did you mean 'time'"]),
    ("task: click", "task: clik", ["gates.0.task", "did you mean 'click'"]),
    ("metric: auc", "metric: mae", ["gates.0.metric", "click is binary, which has auc"]),
    (", lower: 0.6, max_drop: 0.01", "", ["gates.0", "needs lower, upper, max_drop or better"]),
    ("lower: 0.6", "lower: 0.6, upper: 0.5", ["gates.0.lower", "nothing could pass"]),
    ("lower: 0.6", "lower: 60", ["gates.0.lower", "auc is at most 1; nothing could pass"]),
    (
        "metric: auc, lower: 0.6",
        "metric: logloss, upper: -0.1",
        ["gates.0.upper", "logloss is at least 0; nothing could pass"],
    ),
    ("slices: [category]", "slices: [category & category]", ["evaluation.slices.0", "with itself"]),
    ("weighting:", "serving: {score: {click: 0}}\nweighting:", ["serving.score", "all weights are 0"]),
    ("experts: 4", "experts: 0", ["model.architecture.experts", "greater than or equal to 1"]),
    (
        "experts: 4",
        "experts: 4, units: [64, 0]",
        ["model.architecture.units.1", "greater than or equal to 1"],
    ),
    ("experts: 4", "experts: 4, dropout: 2", ["model.architecture.dropout", "less than or equal to"]),
    ("experts: 4}", "experts: 4}\n  embedding_dim: 0", ["model.embedding_dim", "greater than or equal to 1"]),
    ("experts: 4}", "experts: 4}\n  interactions: [[user]]", ["model.interactions.0", "pair of two"]),
    (
        "name: uncertainty}",
        "name: uncertainty}\ntraining: {optimizer: {embedding: {name: adam, learning_rate: -1}}}",
        ["training.optimizer.embedding.learning_rate"],
    ),
    (
        "price: float",
        "price: {type: float, min: 2, max: 1}",
        ["sources.log.columns.price", "nothing could pass"],
    ),
    ("days(at) - since", "days(at) - since" + " + 1" * 1000, ["derived.age", "2,000 characters"]),
    ("days(at) - since", "-" * 1500 + "since", ["derived.age", "nested too deeply"]),
    ("where: clicked == 1", "where: clicked == 99999999999999999999", ["tasks.spend.where", "2**53"]),
    ("2024-01-09", "2024-01-09T00:00:00+05:00", ["splits.test_from", "utc_offset_hours"]),
    ("lower: 0.6", "slice: category", ["gates.0.slice", "column=value"]),
    ("lower: 0.6", "lower: .nan", ["gates.0.lower", "finite number"]),
    ("user: user, item", "user: clicked, item", ["roles.user", "known only after"]),
    (
        "  price: {kind: numeric",
        "  numbers: {column: price, kind: numeric",
        ["features.numbers", "choose another"],
    ),
    ("click: {kind", "total: {kind", ["tasks.total", "choose another"]),
    (
        "name: uncertainty}",
        "name: uncertainty}\ntraining: {stopping: {objective: {click: 0}}}",
        ["training.stopping.objective", "above 0"],
    ),
    ("lower: 0.6", "slice: colour=red", ["gates.0.slice", "evaluation.slices"]),
    ("lower: 0.6", "lower: 0.6, slice: new_user=1", ["gates.0.slice", "`true` or `false`, not '1'"]),
    ("lower: 0.6", "lower: 0.6, slice: 'category=a '", ["gates.0.slice", "write 'category=a'"]),
    ("lower: 0.6", "lower: 0.6, slice: 'category= a'", ["gates.0.slice", "write 'category=a'"]),
    (
        "lower: 0.6, max_drop: 0.01}\nevaluation:\n  slices: [category]",
        "lower: 0.6, slice: user=7.0 & category=a}\nevaluation:\n  slices: [user & category]",
        ["gates.0.slice", "user is int", "'7.0'"],
    ),
    ("lower: 0.6", "interval: most", ["gates.0.interval", "'whole'"]),
    ("lower: 0.6, max_drop: 0.01", "better: true, interval: any", ["gates.0", "interval says how"]),
    ("metric: auc", "metric: calibration, better: true", ["gates.0.better", "best at 1"]),
    ("metric: auc", "metric: calibration, interval: any", ["gates.0.interval", "lower and upper"]),
    ("metric: auc", "metric: rank_correlation", ["gates.0.metric", "needs roles.request"]),
    ("metric: auc", "metric: top_k_overlap", ["gates.0.max_drop", "of both models already; give lower"]),
    (
        "lower: 0.6, max_drop: 0.01}\nevaluation:",
        "lower: 0.6, interval: any}\nevaluation:\n  replicates: 0",
        ["gates.0.interval", "needs intervals, and evaluation.replicates is 0"],
    ),
    ("slices: [category]", "slices: [clicked]", ["evaluation.slices.0", "known only after"]),
    ("truth: p_click", "truth: p_clik", ["evaluation.references.click.truth", "did you mean 'p_click'"]),
    ("type: time, unit: s", "type: time, unit: minutes", ["sources.log.columns.at.unit", "'minutes'"]),
    ("user: int", "user: integer", ["sources.log.columns.user.type", "'integer'", "'int'"]),
    ("item: {type: string", "Item: {type: string", ["sources.log.columns.Item", "lower-case"]),
    (
        "price: float",
        "price: {type: float, separator: ','}",
        ["sources.log.columns.price", "separator needs a list"],
    ),
    ("user: int", "user: {type: int, values: [a]}", ["sources.log.columns.user", "numbers allowed"]),
    ("price: float", "price: {type: float, values: [1]}", ["sources.log.columns.price", "use min and max"]),
    (
        "files: logs/*.parquet",
        "files: logs/*.parquet\n    unique: [words]",
        ["sources.log.unique.0", "list[string]"],
    ),
    ("files: items.csv", "files: []", ["sources.catalogs.items.files", "at least 1"]),
    ("weighting:", "weightings:", ["weighting", "is missing", "weightings", "did you mean 'weighting'"]),
    (
        "  click: {kind: binary, label: clicked}",
        "  score: {kind: binary, label: clicked}",
        ["tasks.score", "choose another"],
    ),
    *[
        ("name: uncertainty}", f"name: uncertainty}}\ndownsampling: {written}", said)
        for written, said in (
            ("{task: clik, keep: 0.1}", ["downsampling.task", "did you mean 'click'"]),
            ("{task: spend, keep: 0.1}", ["downsampling.task", "spend is a regression"]),
            ("{task: click, keep: 1e-9}", ["downsampling.keep", "at least 1e-06"]),
            ("{task: click, keep: 1}", ["downsampling.keep", "less than 1"]),
            ("{task: click, keep: 0.1, correction: none}", ["downsampling.correction", "'logit'"]),
        )
    ],
]


@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES, ids=[w or r for r, w, _ in MISTAKES])
def test_mistakes(right, wrong, said):
    assert right in GOOD
    message = problems(GOOD.replace(right, wrong, 1))
    for part in said:
        assert part in message


def test_gates_must_be_written():
    text = GOOD[: GOOD.index("gates:")] + GOOD[GOOD.index("evaluation:") :]
    assert "gates" in problems(text) and "`none` must be written" in problems(text)
    assert loads(text + "gates: none\n").gates == "none"
    assert "gates (line 40): is an empty list" in problems(text + "gates: []\n")


@pytest.mark.parametrize(
    "gate",
    [
        "{task: click, metric: calibration, lower: 0.9, upper: 1.1, interval: any}",
        "{task: click, metric: logloss, better: true, max_drop: 0, interval: whole}",
        "{task: spend, metric: rank_correlation, lower: 0.8, slice: category=a}",
        "{task: click, metric: auc, lower: 0.8, slice: new_item=true}",
    ],
)
def test_gates_that_compare(gate):
    text = GOOD.replace("{task: click, metric: auc, lower: 0.6, max_drop: 0.01}", gate)
    assert len(loads(text.replace("time: at}", "time: at, request: user}")).gates) == 1


def test_a_gate_field_is_said_once():
    assert problems(GOOD.replace("lower: 0.6", "lower: abc")).startswith(
        "shop.yaml: 1 problem\n  gates.0.lower (line "
    )


def test_every_mistake_is_listed():
    message = problems(GOOD.replace("label: clicked", "label: clik").replace("metric: auc", "metric: mae"))
    assert message.startswith("shop.yaml: 2 problems")


def test_not_yaml_and_not_a_mapping():
    assert "is not YAML" in problems("a: [1") and "line" in problems("a: [1")
    assert "must be a mapping" in problems("- 1")


def test_what_never_ends():
    assert "alias of itself" in problems("a: &a [*a]")
    assert "nested too deeply" in problems("a: " + "[" * 5000 + "]" * 5000)


def test_a_few_lines_that_stand_for_billions_of_values():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
    )
    with pytest.raises(RecipeError, match="its aliases make .* values; at most 1,000,000 are read"):
        loads(bomb)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nsources:\n\tlog:\n", r"recipe \(line 3\): is not YAML: the line begins with a tab"),
        ("version: 1\nname: a\0\n", r"recipe \(line 2\): is not YAML: control characters are not allowed"),
        (f"version: {'9' * 5000}\n", "cannot be read: Exceeds the limit"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_texts_that_are_not_yaml(text, said):
    with pytest.raises(RecipeError, match=said):
        loads(text)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("version: 1", "version: 2", "version (line {}): must be 1 [got 2]"),
        (
            "name: demo",
            "name: 3",
            "name (line {}): must be a text; a number or a truth value in quotes is one",
        ),
        ("spans: {by: day, window: 7}", "spans: 3", "spans (line {}): must be a mapping, `setting: value`"),
        ("unique: [impression_id]", "unique: 3", "must be a list, such as `[a, b]` [got 3]"),
        ("window: 7", "window: seven", "must be a whole number [got 'seven']"),
        ("required: true", "required: maybe", "must be true or false [got 'maybe']"),
        ("kind: binary", "kind: zzz", "must be one of binary, multiclass, ordinal, regression [got 'zzz']"),
    ],
)
def test_wrong_types_are_said_in_a_writers_words(root, right, wrong, said):
    text = (root / "data/demo/recipe.yaml").read_text(encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1
    with pytest.raises(RecipeError) as error:
        loads(text.replace(right, wrong, 1))
    assert said.format(line) in str(error.value)


def test_gates_that_are_a_word():
    text = GOOD[: GOOD.index("gates:")] + "gates: nope\n" + GOOD[GOOD.index("evaluation:") :]
    assert "the word `none`" in problems(text)


def test_a_key_written_twice():
    assert "is written twice; first on line" in problems(GOOD + "name: other\n")


def test_settings_override():
    recipe = loads(GOOD, settings=["training.epochs=7", "gates.0.lower=0.7", "model.architecture.experts=2"])
    assert (recipe.training.epochs, recipe.gates[0].lower, recipe.model.architecture.experts) == (7, 0.7, 2)
    assert "did you mean 'epochs'" in problems(GOOD, ("training.epoch=7",))
    assert "dotted.path=value" in problems(GOOD, ("training.epochs",))
    assert "is not a place in a list of 1" in problems(GOOD, ("gates.3.lower=1",))
    assert "single value" in problems(GOOD, ("name.x=1",))


def test_resolved_recipe_loads_to_the_same():
    recipe = loads(GOOD)
    assert loads(resolved(recipe)) == recipe


def test_a_part_is_neutral_elsewhere():
    one, other = loads(GOOD), loads(GOOD, settings=["training.epochs=9", "features.price.scaling=none"])
    assert one.part() == other.part()
    assert one.part("training") != other.part("training")
    assert type(one).model_validate_json(one.part("features").model_dump_json()) == one.part("features")


def test_missing_file(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        load(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("name", ["demo", "kuairand", "census"])
def test_the_projects_own_recipes(root, name):
    assert load(root / "data" / name / "recipe.yaml").name == name


def test_checking_imports_nothing_heavy(root):
    code = (
        "import sys; from pipeline.recipe import load; load(sys.argv[1]); "
        "heavy = ('numpy', 'pyarrow', 'keras', 'tensorflow', 'tfx', 'apache_beam'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(root / "data/census/recipe.yaml")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y"])
def test_words_that_old_yaml_takes_for_booleans_are_words(word, root):
    text = (root / "data/demo/recipe.yaml").read_text()
    text = text.replace("key: user_id", f"key: user_id\n      on: {word}", 1)
    text = text.replace("      position: {type: int", f"      {word}: string\n      position: {{type: int", 1)
    recipe = loads(text)
    assert recipe.sources.catalogs["users"].on == word and word in recipe.columns
    assert loads(resolved(recipe)) == recipe
