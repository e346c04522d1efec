"""Texts that were meant to be numbers or times, and are written as no column of a recipe can be."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.texts import parse_texts
from pipeline.recipe.parts import Column

_MOST = 0.99  # share of texts that are of the form


def meant_otherwise(present: pa.Array) -> str | None:
    """What texts seem to be, for a person; None where they are simply texts.

    Args:
      present: string, none of them missing; of a type that is read from them in no other way.
    """
    # of lists of ids, few have two nearly everywhere
    commas = pc.match_substring_regex(present, r"^[-+]?[0-9]{1,3}(\.?[0-9]{3})*,[0-9]+$|^[-+]?[0-9]+,[0-9]+$")
    numbers = pc.or_(commas, pc.match_substring_regex(present, r"^[-+]?[0-9]+$"))
    if _share(commas) > 0.9 and _share(numbers) >= _MOST:
        return "numbers with a decimal comma? write them with a point, to have them read as numbers"
    _, no_time = parse_texts(present, Column(type="time", unit="iso"))
    if no_time is None or no_time.all():
        return None
    since_1970 = pc.match_substring_regex(present, "^[0-9]{9,19}$")
    if _share(since_1970) and _share(pc.or_(since_1970, pa.array(~no_time))) >= _MOST:
        share = 1 - no_time.mean()
        return f"times? {share:.0%} are ISO-8601, the others numbers: write all alike, to have them read as times"
    return None


def _share(where: pa.Array) -> float:
    return pc.mean(where.cast(pa.float64())).as_py()
