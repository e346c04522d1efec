import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.scores import read_scores, rows_by_value, score_files


def test_reads_known_labels_only(tmp_path, write_scores):
    columns = write_scores(tmp_path)
    scores = read_scores(tmp_path, ["click", "like"], ["tab"], 9)
    known = np.flatnonzero(columns["like/mask"])
    assert scores.rows == 1200
    assert (scores.tasks["like"].rows == known).all()
    assert (scores.tasks["like"].labels == columns["like/label"][known]).all()
    assert scores.tasks["like"].baseline is None and scores.tasks["click"].baseline is not None
    assert list(scores.tasks["click"].references) == ["propensity"]
    assert (scores.tasks["click"].weights == 1).all()


def test_weights_where_asked(tmp_path, write_scores):
    columns = write_scores(tmp_path)
    scores = read_scores(tmp_path, ["click"], [], 0, use_weight=True)
    assert (scores.tasks["click"].weights == columns["click/weight"]).all()


def test_one_file_a_folder_and_a_list_are_the_same(tmp_path, write_scores):
    write_scores(tmp_path / "many", shards=3)
    write_scores(tmp_path / "one", shards=1)
    one = tmp_path / "one" / "scores-00000-of-00001.parquet"
    files = score_files(tmp_path / "many")
    assert len(files) == 3
    by = [read_scores(p, ["click"], [], 0) for p in (tmp_path / "many", files[::-1], one)]
    for other in by[1:]:
        assert (by[0].tasks["click"].predictions == other.tasks["click"].predictions).all()
        assert (by[0].units.hashes[by[0].units.codes] == other.units.hashes[other.units.codes]).all()


def test_a_row_without_user_is_its_own_unit_and_in_no_group(tmp_path):
    table = {"role/user": pa.array(["a", None, "b", None, "a"])}
    table |= {f"t/{part}": np.ones(5) for part in ("label", "mask", "prediction")}
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    units = read_scores(tmp_path, ["t"], [], 0).units
    assert units.groups.tolist() == [0, -1, 1, -1, 0]
    assert units.codes.tolist() == [0, 2, 1, 3, 0]
    assert len(set(units.hashes.tolist())) == 4


def test_slices_are_named_by_text_most_frequent_first(tmp_path):
    many = np.repeat(np.arange(250), 2)
    table = {"slice/f": pa.array(["b", "a", None, "a"] * 125), "slice/many": many}
    table |= {f"t/{part}": np.ones(500) for part in ("label", "mask", "prediction")}
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    slices = read_scores(tmp_path, ["t"], ["f", "many"], 200, user_role=False).slices
    values, codes = slices["f"]
    assert values == ["a", "b"]
    assert codes[:4].tolist() == [1, 0, -1, 0]
    assert len(slices["many"][0]) == 200
    assert (slices["many"][1] == -1).sum() == 100


def test_rows_by_value():
    found = {v: rows.tolist() for v, rows in rows_by_value(["x", "y", "z"], np.array([2, -1, 0, 2]))}
    assert found == {"x": [2], "z": [0, 3]}


def test_what_is_missing_is_named(tmp_path, write_scores):
    write_scores(tmp_path)
    with pytest.raises(KeyError, match="no column share/label, share/mask, share/prediction, slice/nope"):
        read_scores(tmp_path, ["share"], ["nope"], 9)
    with pytest.raises(FileNotFoundError):
        read_scores(tmp_path / "absent", ["click"], [], 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no Parquet file"):
        read_scores(tmp_path / "empty", ["click"], [], 0)
