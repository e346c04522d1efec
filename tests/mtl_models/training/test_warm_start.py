"""A model that goes on from an earlier one: every weight and slot is where it was, and rows are added."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_models import (
    CategoricalSlots,
    HardSharing,
    Layout,
    MMoE,
    MultiTaskModel,
    RowAdagrad,
    RowAdam,
    Task,
    Uncertainty,
    VectorInput,
)
from mtl_models.training.warm_start import grow, keep_optimizers, origin_of_rows


def layout(users, items, dim=3, held=4):
    """A vocabulary of users, items that a list shares, buckets of an age, a number and held vectors."""
    return Layout(
        (
            CategoricalSlots("user", 0, 2 + users, 0, unknown_row=1, missing_row=0),
            CategoricalSlots("item", 2 + users, 2 + items, 1, unknown_row=1, missing_row=0),
            CategoricalSlots("last", 2 + users, 2 + items, 2, length=3, unknown_row=1, missing_row=0),
            CategoricalSlots("age", 4 + users + items, 5, 5, missing_row=0),
        ),
        ("price",),
        (VectorInput("title", dim, held),),
    )


def rows(of, count=64, seed=0):
    rng = np.random.default_rng(seed)
    ids = [rng.integers(f.first_row, f.first_row + f.rows, (count, f.length)) for f in of.categorical]
    x = {"ids": np.concatenate(ids, 1), "numbers": rng.normal(size=(count, 1)).astype("float32")}
    x["vector_title"] = rng.integers(0, of.vectors[0].rows, count)
    y = {"click": rng.integers(0, 2, count).astype("float32"), "watch": rng.normal(size=count)}
    return x, {t: np.asarray(v, "float32") for t, v in y.items()}


def rate():
    return keras.optimizers.schedules.CosineDecay(0.05, 8)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Trained, and read back from its file, as a run finds it."""
    of = layout(5, 4)
    model = MultiTaskModel(
        of,
        [Task("click", "binary"), Task("watch", "regression")],
        MMoE(experts=2, units=(4,)),
        weighting=Uncertainty(),
        embedding_dim=3,
        numeric_embedding="piecewise_linear",
        numeric_bins=[[-1.0, 0.0, 2.0]],
        vector_units=2,
        id_dropout=0.1,
        seed=3,
    )
    model.feature_inputs.hold("title", np.ones((4, 3)))
    model.compile(keras.optimizers.Adam(rate()), RowAdam(rate()))
    model.fit(*rows(of), batch_size=16, epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("base") / "model.keras"
    model.save(path)
    return keras.models.load_model(path)


def grown(base, of=None):
    of = of or layout(8, 6, held=6)
    model = grow(base, of, {"title": np.full((6, 3), 2.0)}, "float32")
    model.compile(keras.optimizers.Adam(rate()), RowAdam(rate()))
    return model


def table_of(model):
    return model.feature_inputs.table.numpy()


def test_ids_keep_their_values_and_new_ones_begin_as_unknown(base):
    model, old = grown(base), table_of(base)
    new = table_of(model)
    np.testing.assert_array_equal(new[:7], old[:7])  # users
    np.testing.assert_array_equal(new[7:10], np.tile(old[1], (3, 1)))  # new users: unknown
    np.testing.assert_array_equal(new[10:16], old[7:13])  # items
    np.testing.assert_array_equal(new[16:18], np.tile(old[8], (2, 1)))
    np.testing.assert_array_equal(new[18:], old[13:])  # buckets
    held = {id(base.feature_inputs.vectors["title"]), id(base.feature_inputs.table)}
    kept = [v for v in base.weights if id(v) not in held]
    others = [
        v
        for v in model.weights
        if v is not model.feature_inputs.table and v is not model.feature_inputs.vectors["title"]
    ]
    assert len(kept) == len(others) > 8
    for before, after in zip(kept, others):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    assert model.feature_inputs.settings["numeric_bins"] == [[-1.0, 0.0, 2.0]]
    assert np.all(model.feature_inputs.vectors["title"].numpy()[1:] == 2.0)


def test_growing_does_not_change_what_is_predicted(base):
    model = grow(base, layout(8, 6), {"title": np.ones((4, 3))}, "float32")
    x, _ = rows(base.layout, seed=5)
    moved = {**x, "ids": np.where(x["ids"] >= 7, x["ids"] + 3, x["ids"])}
    moved["ids"][:, 5] += 2  # behind the items, which gained two
    asked = {**moved, "ids": np.where(moved["ids"] == 1, 8, moved["ids"])}  # unknown before, and an id now
    for task, before in base.predict(x, verbose=0).items():
        np.testing.assert_array_equal(model.predict(moved, verbose=0)[task], before)
        np.testing.assert_array_equal(model.predict(asked, verbose=0)[task], before)


def test_optimizers_go_on_row_by_row_and_the_rate_begins_anew(base):
    model = grown(base)
    fresh = model.embedding_optimizer.slots.numpy()[0].copy()
    assert keep_optimizers(base, model)
    old, new = base.embedding_optimizer.slots.numpy(), model.embedding_optimizer.slots.numpy()
    assert np.abs(old).max() > 0
    np.testing.assert_array_equal(new[:7], old[:7])
    np.testing.assert_array_equal(new[10:16], old[7:13])
    np.testing.assert_array_equal(new[18:], old[13:])
    np.testing.assert_array_equal(new[7:10], np.tile(fresh, (3, 1, 1)))
    np.testing.assert_array_equal(new[16:18], np.tile(fresh, (2, 1, 1)))
    before, after = base.optimizer.variables, model.optimizer.variables
    assert len(before) == len(after) > 10
    for one, other in zip(before, after):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for optimizer in (model.optimizer, model.embedding_optimizer):
        assert int(optimizer.iterations) == 8
        assert float(optimizer.learning_rate) == pytest.approx(0.05)
    assert float(base.optimizer.learning_rate) == pytest.approx(0.0)


def test_a_model_that_went_on_is_read_back_and_goes_on_again(base, tmp_path):
    model = grown(base)
    keep_optimizers(base, model)
    model.fit(*rows(model.layout), batch_size=16, epochs=1, verbose=0)
    assert not np.array_equal(table_of(model)[7:10], np.tile(table_of(base)[1], (3, 1)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    third = grown(again, layout(9, 6, held=6))
    assert keep_optimizers(again, third)
    assert int(third.optimizer.iterations) == 12
    assert float(third.optimizer.learning_rate) == pytest.approx(0.05)


def test_another_kind_of_optimizer_begins_without_a_state(base):
    model = grown(base)
    model.compile(keras.optimizers.SGD(0.1), RowAdagrad(0.1))
    assert not keep_optimizers(base, model)
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (layout(4, 4), "'user' had 7 rows and has 6"),
        (layout(5, 4, dim=2), "the vector 'title' had 3 numbers and has 2"),
        (Layout.of({"user": 9}), "features are user, item, last, age, price, title, and the new one's user"),
        (
            Layout((*layout(5, 4).categorical[:3], CategoricalSlots("age", 13, 6, 5, missing_row=0)),
                   ("price",), layout(5, 4).vectors),
            "'age' had 5 rows and has 6: rows of a vocabulary can only be added, and the number of buckets stays",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(base, other, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        grow(base, other, {}, "float32")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=5))
def test_rows_of_any_features_are_found_again(sizes):
    def made(counts):
        slots, first = [], 0
        for i, values in enumerate(counts):
            slots.append(CategoricalSlots(f"f{i}", first, 2 + values, i, unknown_row=1, missing_row=0))
            first += 2 + values
        return Layout(tuple(slots))

    before, after = made([old for old, _ in sizes]), made([old + more for old, more in sizes])
    origin, added = origin_of_rows(before, after), origin_of_rows(before, after, new=-1)
    for old, new in zip(before.categorical, after.categorical):
        kept = list(range(old.first_row, old.first_row + old.rows))
        mine = slice(new.first_row, new.first_row + new.rows)
        more = new.rows - old.rows
        assert origin[mine].tolist() == kept + [old.first_row + 1] * more
        assert added[mine].tolist() == kept + [-1] * more


def test_a_table_of_buckets_alone_keeps_its_rows():
    of = Layout((CategoricalSlots("age", 0, 4, 0, missing_row=0),))
    model = MultiTaskModel(of, [Task("click", "binary")], HardSharing(units=(2,)), embedding_dim=2)
    np.testing.assert_array_equal(table_of(grow(model, of, {}, "float32")), table_of(model))
