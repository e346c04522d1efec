import numpy as np
import pytest

from mtl_models import AITM, ESCM2, ESMM, Task
from mtl_models.architectures._chain import chain_indices, sampling_shift, weight_in_all_data

TASKS = [Task("click", "binary"), Task("watch", "regression"), Task("buy", "binary")]


def test_places_of_the_named_tasks():
    assert chain_indices("ESMM", ("buy", "click"), TASKS) == [2, 0]
    assert chain_indices("ESMM", (), [TASKS[0], TASKS[2]]) == [0, 1]


@pytest.mark.parametrize("architecture", [AITM, ESMM, ESCM2])
@pytest.mark.parametrize(
    "chain, words",
    [
        (("click", "purchase"), r"names \['purchase'\], but the tasks are \['click', 'watch', 'buy'\]"),
        (("click", "watch"), r"\['watch'\] are not; binary are \['click', 'buy'\]"),
        ((), r"all tasks, as none are named.*\['watch'\] are not"),
        (("click", "click"), "names a task twice"),
        (("click",), "at least two tasks.*'click', 'watch', 'buy'"),
    ],
)
def test_a_chain_that_does_not_fit_the_tasks(architecture, chain, words):
    with pytest.raises(ValueError, match=f"{architecture.__name__}: chain .*{words}"):
        architecture(chain=chain).bind(TASKS, 0)


def test_sampled_negatives():
    sampled = Task("click", "binary", negatives_kept=0.25)
    label, weight = np.array([0, 1, 0], "float32"), np.array([1, 2, 0], "float32")
    assert sampling_shift(TASKS[0]) == 0 and sampling_shift(sampled) == pytest.approx(np.log(0.25))
    assert weight_in_all_data(TASKS[0], label, weight) is weight
    np.testing.assert_array_equal(weight_in_all_data(sampled, label, weight), [4, 2, 0])
