"""Which recipes are compared."""

import pytest

from pipeline.compare.variants import SINGLE_TASK, CannotCompare, single_task, variants
from pipeline.recipe import load


@pytest.fixture(scope="module")
def demo(root):
    return root / "data/demo/recipe.yaml"


def test_one_thing_differs_at_a_time(demo):
    own, other, weighted = variants(demo, [], ["hard_sharing", "mmoe"], ["uncertainty"])
    assert own.name == "mmoe, equal"  # and not twice
    assert (other.name, weighted.name) == ("hard_sharing, equal", "mmoe, uncertainty")
    assert other.recipes[0].model.architecture.units == own.recipes[0].model.architecture.units == (32,)
    assert weighted.recipes[0].model == own.recipes[0].model


@pytest.mark.parametrize(
    ("architectures", "weightings", "said"),
    [
        (["mmo"], [], r"--architectures: there is no 'mmo'.*mmoe"),
        ([], ["uncertain"], r"--weightings: there is no 'uncertain'.*uncertainty"),
        (["aitm"], [], r"aitm does not fit this recipe"),
    ],
)
def test_says_which_name_is_wrong(demo, architectures, weightings, said):
    with pytest.raises(CannotCompare, match=said):
        variants(demo, [], architectures, weightings)


def test_a_part_from_elsewhere_is_named_by_its_path(demo):
    own, other = variants(demo, [], ["shop.sharing:Ours"], [])
    assert other.name == "shop.sharing:Ours, equal"
    assert other.recipes[0].model.architecture.settings == {}


def test_the_baseline_is_a_model_a_task_that_shares_nothing(demo):
    recipe = load(demo)
    alone = single_task(recipe)
    assert alone.name == SINGLE_TASK
    assert [list(r.tasks) for r in alone.recipes] == [[task] for task in recipe.tasks]
    for one in alone.recipes:
        assert one.model.architecture == recipe.model.architecture
        assert (one.training.epochs, one.training.batch_size) == (9, 512)
        assert one.training.stopping.objective is None and one.weighting.name == "equal"
        assert all(task.loss_weight == 1 for task in one.tasks.values())


def test_seeds_change_nothing_else(demo):
    [own] = variants(demo, [], [], [])
    [seven] = own.seeded(7)
    assert seven.training.seed == 7
    assert seven.training.model_copy(update={"seed": own.recipes[0].training.seed}) == own.recipes[0].training
