import pytest

from pipeline import digests


@pytest.mark.parametrize("component", ["statistics", "transform"])
def test_cache_keys_hold_the_code_that_reads(component):
    """What reads is in the digest that is a parameter of the step."""
    reached = {
        path.relative_to(digests._ROOT).as_posix()
        for path in digests._reached([f"pipeline.components.{component}"])
    }
    assert {"pipeline/shards/tfxio.py", "pipeline/examples.py"} <= reached
    assert ("pipeline/shards/write.py" in reached) == (component == "transform")
