"""`mtl predict` on files as people have them, with a small model that echoes what it was given."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from serving.predict import PredictError, predict


class Echo(tf.Module):
    """`seen`: length of the id; `sum`: the price, or -1 where missing; `tags`: how many."""

    @tf.function(
        input_signature=[
            {
                "id": tf.TensorSpec([None], tf.string, "id"),
                "price": tf.TensorSpec([None], tf.float32, "price"),
                "n": tf.TensorSpec([None], tf.int64, "n"),
                "tags": tf.TensorSpec([None, None], tf.string, "tags"),
            }
        ]
    )
    def call(self, x):
        return {
            "length": tf.strings.length(x["id"]),
            "price": tf.where(tf.math.is_nan(x["price"]), -1.0, x["price"]),
            "n": x["n"],
            "tags": tf.reduce_sum(tf.cast(x["tags"] != "", tf.int32), 1),
        }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    echo = Echo()
    tf.saved_model.save(echo, str(folder), signatures={"serving_default": echo.call})
    return folder


def scored(model, source, tmp_path):
    target = tmp_path / "out.jsonl"
    rows = predict(model, source, str(target))
    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(answers) == rows
    return answers


def test_csv_keeps_ids_as_texts(model, tmp_path):
    (tmp_path / "rows.csv").write_text("id,price,other\n007,1.5,x\n12,,y\n")
    found = scored(model, tmp_path / "rows.csv", tmp_path)
    assert [(r["length"], r["price"]) for r in found] == [(3, 1.5), (2, -1.0)]


def test_json_lines_with_lists_missing_values_and_odd_line_breaks(model, tmp_path):
    rows = [{"id": "a\u2028b", "tags": ["x", "y"]}, {"price": 2, "n": 3}, {"id": None, "tags": []}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    found = scored(model, tmp_path / "rows.jsonl", tmp_path)
    assert [(r["length"], r["price"], r["tags"]) for r in found] == [(5, -1, 2), (0, 2, 0), (0, -1, 0)]
    assert [r["n"] for r in found] == [tf.int64.min, 3, tf.int64.min]


def test_parquet_in_and_out(model, tmp_path):
    pq.write_table(pa.table({"id": ["abc"], "tags": [["x"]]}), tmp_path / "rows.parquet")
    assert predict(model, tmp_path / "rows.parquet", str(tmp_path / "out.parquet")) == 1
    assert pq.read_table(tmp_path / "out.parquet")["length"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.csv", "foo,bar\n1,2\n", "none of the model's inputs"),
        ("rows.csv", "id,tags\na,x|y\n", "tags is a list"),
        (
            "rows.jsonl",
            '{"price": 1}\n{"price": 1e400}\n',
            r"inf is beyond the numbers of float32.* \(row 2\)",
        ),
        ("rows.csv", "price\n1e39\n", r"1e\+39 is beyond the numbers of float32"),
        ("rows.csv", "id,price\na,3\nb,cheap\n", r"price does not fit .* 'cheap' is not a number \(row 2\)"),
        ("rows.jsonl", '{"id": "a", "n": 1}\n{"n": 1.5}\n', r"1.5 is not a whole number \(row 2\)"),
        ("rows.jsonl", '{"n": 99999999999999999999}\n', "n has values of .* a whole number beyond 64 bits"),
        ("rows.jsonl", '{"n": 1}\n{"n": "x"}\n', "n has values of different types"),
        ("rows.jsonl", '{"id": "a"}\n\n{not json}\n', "rows.jsonl, line 3: is not JSON: .* at column 2"),
        ("rows.jsonl", '{"n": ' + "9" * 5000 + "}\n", "rows.jsonl, line 1: cannot be read: Exceeds"),
        ("rows.jsonl", "[1, 2]\n", "rows.jsonl, line 1: is not a JSON object"),
        ("rows.jsonl", '{"tags": "x|y"}\n', "is not a list"),
        ("rows.jsonl", '{"id": 7}\n', "written in quotes"),
        ("rows.jsonl", "", "has no rows"),
        ("rows.csv", "id,id\na,b\n", "more than one column named id|cannot be read as csv"),
        ("rows.txt", "id\n", "the ending must be"),
    ],
)
def test_files_that_do_not_fit(model, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(PredictError, match=said):
        predict(model, tmp_path / name, str(tmp_path / "out.jsonl"))


def test_the_output_is_looked_at_first(model, tmp_path):
    (tmp_path / "rows.csv").write_text("id\na\n")
    with pytest.raises(PredictError, match="the ending must be"):
        predict(model, tmp_path / "rows.csv", str(tmp_path / "out.xlsx"))


def test_nothing_was_pushed(tmp_path):
    (tmp_path / "rows.csv").write_text("id\na\n")
    with pytest.raises(PredictError, match="neither a SavedModel nor"):
        predict(tmp_path, tmp_path / "rows.csv", "-")
