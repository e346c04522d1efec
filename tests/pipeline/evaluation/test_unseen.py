import numpy as np
import pyarrow as pa

from pipeline.evaluation.records import key_hashes
from pipeline.evaluation.unseen import unseen


def test_new_values_and_missing_ones():
    seen = np.unique(key_hashes(pa.array(["a", "b", None, "b"])))
    assert unseen(pa.array(["b", "c", None, "a"]), seen).to_pylist() == [False, True, None, False]
    assert unseen(pa.array([7, None]), np.empty(0, np.uint64)).to_pylist() == [True, None]
