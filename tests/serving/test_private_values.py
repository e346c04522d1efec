"""Private values: hashed alike one by one, in columns, and by whoever follows the description."""

import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.private import VARIABLE, Hasher, NoKey, hashes_alone

KEY = "0123456789abcdef0123456789abcdef"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def described(value) -> bytes:
    """HMAC by its definition (RFC 2104), of what the module's description says."""
    key = KEY.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + str(value).strip().encode()).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


@given(TEXTS)
def test_a_text_is_as_described(text):
    assert Hasher(KEY).text(text) == described(text).hex()[:32]


@given(NUMBERS)
def test_a_number_is_as_described(number):
    found = Hasher(KEY).number(number)
    assert found == int(bin(int.from_bytes(described(number), "big"))[2:].zfill(256)[:53], 2)
    assert float(found) == found  # JSON's numbers hold it


@given(
    st.one_of(
        st.tuples(st.just(pa.string()), st.lists(st.none() | TEXTS)),
        st.tuples(st.just(pa.int64()), st.lists(st.none() | NUMBERS)),
        st.tuples(
            st.just(pa.list_(pa.string())), st.lists(st.none() | st.lists(st.none() | TEXTS, max_size=4))
        ),
        st.tuples(
            st.just(pa.list_(pa.int64())), st.lists(st.none() | st.lists(st.none() | NUMBERS, max_size=4))
        ),
    ),
    st.integers(0, 3),
)
def test_a_column_is_its_values_one_by_one(typed, skipped):
    kind, values = typed
    hasher = Hasher(KEY)
    column = pa.array(values, kind).slice(skipped)
    found = hasher.column(column)
    assert found.type == kind
    assert found.to_pylist() == [hasher.value(v) for v in column.to_pylist()]


def test_the_example_of_the_documentation(root):
    hasher = Hasher(KEY)
    assert (
        hasher.text("anna@example.org") == hmac.digest(KEY.encode(), b"anna@example.org", "sha256").hex()[:32]
    )
    text = (root / "docs/privacy.md").read_text()
    assert hasher.text("anna@example.org") in text and str(hasher.number(42)) in text and KEY in text


def test_another_key_gives_others_and_is_told_apart():
    one, other = Hasher(KEY), Hasher(KEY[::-1])
    assert one.text("a") != other.text("a") and one.number(1) != other.number(1)
    assert one.key_id != other.key_id and one.key_id == Hasher(f" {KEY}\n").key_id
    assert KEY not in one.key_id and one.text(" a ") == one.text("a")


@pytest.mark.parametrize("value", [1.5, True, b"a", {"a": 1}, [1.5]])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(TypeError, match="neither a text nor a whole number"):
        Hasher(KEY).value(value)


def test_the_key_is_in_the_environment_or_in_a_file_that_it_names(tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    by_file = Hasher.from_environment({VARIABLE: f"@{tmp_path / 'key'}"})
    assert by_file.key_id == Hasher.from_environment({VARIABLE: KEY}).key_id
    for environment, said in (
        ({}, "is not set"),
        ({VARIABLE: "short"}, "has 5 characters; a key has 32 or more"),
        ({VARIABLE: f"@{tmp_path / 'nowhere'}"}, "nowhere, which cannot be read"),
    ):
        with pytest.raises(NoKey, match=said):
            Hasher.from_environment(environment)


def test_of_private_values_hashes_alone_are_kept():
    hasher = Hasher(KEY)
    texts = np.array([[hasher.text("anna").encode(), b"anna"], [b"", b"A" * 32]], object)
    assert hashes_alone(texts).tolist() == [[texts[0, 0], b""], [b"", b""]]
    missing = np.iinfo(np.int64).min
    numbers = np.array([hasher.number(7), 7, 765_400_000_001, 4_111_111_111_111_111_111, -1, missing])
    assert hashes_alone(numbers).tolist() == [numbers[0], *[missing] * 5]
