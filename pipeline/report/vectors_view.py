"""What the page and the summary show of vectors, from metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.numbers import MISSING, count_text, metric_text, share_text

WIDTH, HEIGHT, ROOM = 480, 320, 22  # of a map's viewBox, and its edge
PICTURE = 34  # side of a picture on it


@dataclass(frozen=True)
class Place:
    """An item on a map, in viewBox units; `css` is what it was in, `words` what it is."""

    x: float
    y: float
    css: str
    words: str
    picture: str | None


@dataclass(frozen=True)
class ItemMap:
    """Attributes:
    places: those with pictures last, as they are drawn over the others.
    description: in words.
    """

    places: list[Place]
    description: str


def vector_rows(
    metrics: Mapping[str, Any], pictures: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """One entry a feature: `name`, `head`, `sentences`, `columns` and `rows` of a table, `map` and
    `neighbours` (of each item `key`, `text`, `picture`, `near`)."""
    serving = metrics["serving_model"] or "the serving model"
    return [
        {
            "name": name,
            "head": ", ".join(
                [of["kind"]]
                + ([f"encoder {of['encoder_name']}"] if of["encoder_name"] else [])
                + [f"{count_text(of['dimension'])} numbers"]
            ),
            "sentences": _sentences(of, serving),
            "columns": [("shown", "Evaluated rows"), ("training", "Training")]
            + ([("serving", serving[0].upper() + serving[1:])] if of["serving"] else []),
            "rows": _table(of),
            "map": _map(of["map"], pictures.get(name, {})),
            "neighbours": [_pictured(item, pictures.get(name, {})) for item in of["neighbours"]],
        }
        for name, of in metrics["vectors"].items()
    ]


def _sentences(of: Mapping[str, Any], serving: str) -> list[str]:
    shift, shown, table = of["shift"], of["shown"], of["table"]
    found = []
    if shift["training"] is None:
        found.append(f"Shift from training's vectors has no value: {of['notes']['training']}.")
    else:
        parts = _parts(shift, "training")
        by_chance = (
            ""
            if shift["chance"] is None
            else f"; two random halves of training's items are {metric_text(shift['chance'])} apart"
        )
        found.append(f"Shift from training's vectors: {metric_text(shift['training'])}{parts}{by_chance}.")
    if shift["serving"] is not None:
        parts = _parts(shift, "serving")
        found.append(f"Shift from {serving}'s vectors: {metric_text(shift['serving'])}{parts}.")
    else:
        found.append(f"Shift from the serving model's vectors is not known: {of['notes']['serving']}.")
    if shown["absent"]:
        why = ", ".join(f"{count_text(n)} × {reason}" for reason, n in shown["reasons"].items())
        share = share_text(shown["absent"], shown["rows"])
        found.append(f"{share} of the evaluated rows have no vector: {why}.")
    if table and table["absent"]:
        why = ", ".join(f"{count_text(n)} × {reason}" for reason, n in table["reasons"].items())
        found.append(
            f"Of {count_text(table['keys'] + table['absent'])} items in all, {count_text(table['absent'])} "
            f"have none: {why}."
        )
    return found


def _parts(shift: Mapping[str, Any], where: str) -> str:
    mean = shift["means"][where]
    return f", of which the mean {metric_text(mean)} and the covariance {metric_text(shift[where] - mean)}"


def _table(of: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(what, where → words) of each line."""
    sets = {where: of[where] for where in ("shown", "training", "serving") if of[where]}
    dimension = {"serving": of["serving_dimension"]}
    lines = {
        "Rows": lambda s, _: count_text(s["rows"]),
        "Items": lambda s, _: count_text(s["items"]),
        "Without a vector": lambda s, _: share_text(s["absent"], s["rows"]) or MISSING,
        "Length, median": lambda s, _: metric_text(s["norm"]["median"]) if s["norm"] else MISSING,
        "Length, 5 % to 95 %": lambda s, _: (
            f"{metric_text(s['norm']['p5'])} to {metric_text(s['norm']['p95'])}" if s["norm"] else MISSING
        ),
        "Dead numbers": lambda s, where: (
            MISSING
            if s["dead"] is None
            else f"{count_text(s['dead'])} of {count_text(dimension.get(where, of['dimension']))}"
        ),
    }
    if of["shown"]["items"] is None:
        del lines["Items"]
    found = [(title, {where: tell(s, where) for where, s in sets.items()}) for title, tell in lines.items()]
    shift = {where: metric_text(of["shift"][where]) for where in ("training", "serving")}
    return [*found, ("Shift of the evaluated rows from these", {"shown": "", **shift})]


def _words(item: Mapping[str, Any]) -> str:
    rows = f"{count_text(item['shown'])} evaluated rows, {count_text(item['trained'])} of training"
    return "\n".join(part for part in (item["key"], item["text"], rows) if part)


def _map(of: Mapping[str, Any], pictures: Mapping[str, str]) -> ItemMap | None:
    items = of["items"]
    if len(items) < 3:
        return None
    xs, ys = [item["x"] for item in items], [item["y"] for item in items]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    # one scale for both, so that what looks near is near
    scale = min((WIDTH - 2 * ROOM) / (wide or 1e-9), (HEIGHT - 2 * ROOM) / (high or 1e-9))
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    dots, drawn = [], []
    for item in items:
        x = WIDTH / 2 + (item["x"] - middle[0]) * scale
        y = HEIGHT / 2 - (item["y"] - middle[1]) * scale
        css = "new" if not item["trained"] else "known" if item["shown"] else "past"
        picture = pictures.get(item["key"])
        free = all(max(abs(x - p.x), abs(y - p.y)) > PICTURE * 0.7 for p in drawn)
        place = Place(x, y, css, _words(item), picture if free else None)
        (drawn if place.picture else dots).append(place)
    new = sum(not item["trained"] for item in items)
    return ItemMap(
        dots + drawn,
        f"{len(items)} items, {new} of them not in training, by the first two principal components, which "
        f"have {share_text(of['variance'], 1)} of the variance.",
    )


def _pictured(item: Mapping[str, Any], pictures: Mapping[str, str]) -> dict[str, Any]:
    near = [{**other, "picture": pictures.get(other["key"])} for other in item["near"]]
    return {**item, "picture": pictures.get(item["key"]), "near": near}
