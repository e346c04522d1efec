"""Which span each task is judged on: ten rows a day, of which so many have their labels."""

import pytest

from pipeline.ingest.counts import Counts
from pipeline.recipe import loads
from pipeline.spans.judged import Judged, judged_tasks

ROWS = 10


def day(number):
    return f"1970-01-{number:02d}"


def counted(buys):
    """Days 1, 2, ... with so many rows whose window is over, of which a fifth is the tail's."""
    return {
        day(number): Counts(
            written={"train": 8, "validation": 2, "test": 0},
            open_windows={"buy": ROWS - known},
            known={
                "click": {"train": 8, "validation": 2, "test": 0},
                "buy": {"train": min(known, 8), "validation": max(known - 8, 0), "test": 0},
            },
        )
        for number, known in enumerate(buys, start=1)
    }


def of_buy(recipe, buys, base=None):
    found = judged_tasks(recipe, counted(buys), base)
    assert found["click"] == Judged(day(len(buys)), day(len(buys)))
    return found["buy"]


@pytest.mark.parametrize(
    ("buys", "judged", "unseen"),
    [
        ((10, 10, 10, 10), 4, 4),  # an old day made again: all is known
        ((10, 10, 0, 0), 2, 2),  # orders come within two days
        ((10, 10, 5, 0), 3, 3),  # of half of the rows is enough
        ((10, 10, 4, 0), 2, 2),
        ((10, 10, 10, 5), 4, 4),  # of the run's own too
        ((10, 0, 10, 0), 3, 3),  # day 2 came late; day 1 is trained on
    ],
)
def test_the_newest_with_labels(shop, buys, judged, unseen):
    assert of_buy(shop, buys) == Judged(day(judged), day(unseen))


def test_where_none_can_be_it_says_what_to_do(shop, shop_text):
    none = of_buy(shop, (4, 0))
    assert (none.span, none.unseen) == ("", day(2))
    assert none.why == (
        "half of the rows of no span of 1970-01-01 to 1970-01-02 have their labels yet, which come 2d later; "
        "the run of 1970-01-04 is the first that can judge it"
    )
    only = of_buy(shop, (10, 0, 0))
    assert (only.span, only.unseen) == ("", day(3))  # it is trained on, as there is no other
    assert only.why == (
        "1970-01-01 is the first with labels, and is trained on; the run of 1970-01-04 is the first that can "
        "judge it"
    )
    # the tail of the day before is what training stops by
    tail = counted((0, 10, 0, 0))
    tail[day(1)].known["buy"] = {"train": 0, "validation": 2, "test": 0}
    assert judged_tasks(shop, tail)["buy"].span == ""
    short = loads(shop_text.replace("window: 3}", "window: 2}"))
    assert of_buy(short, (0, 0, 0)).why.endswith("; give spans.window 3 or more")
    late = of_buy(shop, (4, 0, 0, 0))
    assert late.why.endswith("look at when the events of orders end (complete_until, or the newest of them)")


def test_a_model_that_has_learned_the_labels_is_not_judged_on_them(shop):
    buys = (10, 10, 10, 0, 0)
    same = {"click": day(5), "buy": day(3)}
    assert of_buy(shop, buys, same) == Judged(day(3), day(3))
    # nothing is left to train on, and nothing is needed: the model has learned it
    assert of_buy(shop, (10, 0, 0), same | {"buy": day(1)}) == Judged(day(1), day(1))
    learned = of_buy(shop, buys, same | {"buy": day(4)})
    assert (learned.span, learned.unseen) == ("", day(4))
    assert "of 1970-01-03, the newest with labels, the model that this run begins from" in learned.why


def test_what_depends_on_a_late_label_is_as_late(shop_text):
    recipe = loads(
        shop_text.replace("splits:", "  price: {kind: regression, label: click, where: buy == 1}\nsplits:")
    )
    spans = counted((10, 10, 0, 0))
    for counts in spans.values():
        counts.known["price"] = counts.known["buy"]
    assert judged_tasks(recipe, spans)["price"] == Judged(day(2), day(2))
