"""What watching a recommender's vectors found, in its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FACTS, PICTURES = "watched.json", "pictures.json"


def read_watched(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What `watch` found."""
    return json.loads(Path(folder, FACTS).read_text())


def read_pictures(folder: str | Path) -> dict[str, dict[str, str]]:
    """Feature → key → its picture as a `data:` URI, of items that `read_watched` names."""
    return json.loads(Path(folder, PICTURES).read_text())
