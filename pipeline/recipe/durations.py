"""Lengths of time as a recipe writes them: `30s`, `90m`, `36h`, `7d`, `2w`."""

import re
from typing import Annotated

from pydantic import AfterValidator

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def milliseconds(text: str) -> int:
    """The milliseconds of a length of time.

    Raises:
      ValueError: it is none, or longer than 100 years.
    """
    found = re.fullmatch(r"([0-9]{1,9})\s*([smhdw])", text)
    if not found:
        raise ValueError("is no length of time; write a whole number and s, m, h, d or w, such as 36h or 7d")
    length = int(found[1]) * _UNITS[found[2]]
    if length > 100 * 366 * _UNITS["d"]:
        raise ValueError("is longer than 100 years")
    return length


def _length(text: str) -> str:
    milliseconds(text)
    return text


def _positive(text: str) -> str:
    if not milliseconds(text):
        raise ValueError("must be longer than nothing")
    return text


Delay = Annotated[str, AfterValidator(_length)]
Window = Annotated[str, AfterValidator(_positive)]
