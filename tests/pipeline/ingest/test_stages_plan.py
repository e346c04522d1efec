"""Which stages a recipe needs: as few as its keys allow, each after what it depends on."""

from types import SimpleNamespace

import pytest

from pipeline.ingest.stages import Stage, make_stages


def keyed(**keys):
    return {name: SimpleNamespace(key=key, on=None) for name, key in keys.items()}


def events(**keys):
    return {name: SimpleNamespace(keys=key) for name, key in keys.items()}


def earlier(**keys):
    return {name: SimpleNamespace(by=by) for name, by in keys.items()}


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        (([], {}, {}, {}), [Stage(["row/id"])]),
        ((["u", "i", "t"], {}, {}, {}), [Stage(["u", "i", "t"], repeats=True)]),
        # rows that are alike share the user, so that one stage does for all
        (
            (["u", "i", "t"], {}, events(orders=["u", "i"]), earlier(a=["u"])),
            [Stage(["u"], repeats=True, events=["orders"], history=["a"])],
        ),
        # a request's id says nothing of where a user's rows are
        (
            (["id"], keyed(items="i"), events(orders=["u", "i"]), earlier(a=["u"], b=["i"], c=["u", "i"])),
            [
                Stage(["i"], catalogs=["items"], joined=True),
                Stage(["id"], repeats=True),
                Stage(["u"], events=["orders"], history=["a", "c"]),
                Stage(["i"], history=["b"]),
            ],
        ),
        # repeats are dropped once all catalogs are joined, with the last of them where they can be
        (
            (["u", "i", "t"], keyed(users="u", items="i"), {}, earlier(b=["i"])),
            [
                Stage(["u"], catalogs=["users"]),
                Stage(["i"], catalogs=["items"], joined=True, repeats=True, history=["b"]),
            ],
        ),
        # equal keys are not gone through twice, whatever stands between them
        (
            ([], {}, {}, earlier(a=["i"], b=["u"], c=["i"])),
            [Stage(["i"], history=["a", "c"]), Stage(["u"], history=["b"])],
        ),
    ],
)
def test_stages(arguments, stages):
    assert make_stages(*arguments, "row/id") == stages
