import types

import pytest

from pipeline.shards.replaced import replaced


def test_put_back_after_an_error():
    module = types.ModuleType("theirs")
    module.name = "stock"
    with pytest.raises(KeyError), replaced(module, "name", "ours"):
        assert module.name == "ours"
        raise KeyError
    assert module.name == "stock"


def test_unknown_name():
    with pytest.raises(AttributeError), replaced(types.ModuleType("theirs"), "renamed", 1):
        pass
