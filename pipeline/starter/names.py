"""What the name of a column, file or folder suggests. Values decide where they can."""

import keyword
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from pipeline.recipe.parts import NAME

WORDS = {
    "user": "user uid customer client member visitor person player buyer account subscriber shopper",
    "item": "item product video movie film song track article news ad advert creative goods sku book listing "
    "content post photo offer asin",
    "request": "request session query search impression page_view pageview list feed_id",
    "time": "time timestamp ts datetime date_time at when from since until",
    "position": "position pos rank slot index_in_list order_in_list",
    "scenario": "scenario scene surface tab placement page channel source app platform module",
    "treatment": "treatment treated treat arm variant experiment group randomised "
    "randomized rand random control",
    "outcome": "click clicked clicks like liked likes visit visited convert converted conversion purchase "
    "purchased bought buy order ordered install installed follow followed share shared comment commented "
    "forward forwarded favorite favourite collect subscribe subscribed unsubscribe hate dislike view viewed "
    "watch watched play played finish finished complete completed opened engage engaged engagement rating "
    "label target outcome response responded churn churned default defaulted paid cart skip skipped enter "
    "entered reply replied save saved spend spent revenue gmv dwell stay ctr cvr y",
    "measure": "time seconds duration ms revenue amount dwell stay spend spent rating value gmv watch",
    "category": "id type kind category cat class code flag level segment zip postcode feat feature tag brand "
    "group country region city device os browser language gender sex tier range band",
    "calendar": "date day dt ymd hour hourmin minute weekday month year week",
    "impressions": "impression impressions log logs exposure exposures shown feed served requests",
    "events": "event events purchase purchases order orders conversion conversions click clicks action "
    "actions installs payment payments transaction transactions sale sales",
    "snapshot": "snapshot snapshots history profile profiles feature features daily price prices stats state",
    "event_type": "event type action kind behavior behaviour name",
    "paid": "purchase purchased order ordered buy bought payment paid sale conversion",
    "amount": "value amount revenue price spend total quantity gmv",
    "aggregate": "ctr cvr rate avg mean count cnt num total sum",
}
# what YAML reads as true, false or nothing, and what the model calls its own inputs
NOT_NAMES = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "ids", "numbers"}
_SETS = {kind: set(text.split()) for kind, text in WORDS.items()}


def tokens(name: str) -> list[str]:
    """`userId` and `user_id` → user, id; `Größe` → grosse."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    letters = unicodedata.normalize("NFKD", split.casefold())
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    return [t for t in re.split(r"[^a-z0-9]+", plain) if t]


def suggests(name: str, kind: str) -> bool:
    """Whether one of the words of `WORDS[kind]` is part of the name."""
    parts = [p.rstrip("0123456789") or p for p in tokens(name)]
    return bool(
        _SETS[kind] & ({*parts, "_".join(parts)} | {"_".join(parts[i : i + 2]) for i in range(len(parts))})
    )


def singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def related(key: str, source: str, column: str) -> bool:
    """Whether the log's `column` reads as a source's key: the same name, or `user_id` for `id` of users."""
    key_parts, parts = tokens(key), tokens(column)
    owner = {singular(t) for t in tokens(source)}
    if key_parts == parts:
        return True
    short = [t for t in key_parts if t not in ("id", "key", "code", "no")]
    long = [t for t in parts if t not in ("id", "key", "code", "no")]
    return bool(long) and ((not short and long[-1] in owner) or (bool(short) and short == long))


def recipe_name(text: str, taken: Iterable[str] = ()) -> str:
    """A name that a recipe allows, and that is not taken yet."""
    name = re.sub(r"_+", "_", "_".join(tokens(text)))[:90] or "column"
    if not NAME.fullmatch(name) or name in NOT_NAMES or keyword.iskeyword(name) or name.startswith("vector_"):
        name = f"c_{name}"
    taken, base, number = set(taken), name, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def source_name(paths: list[str]) -> str:
    """Of a group of files: the part of its path without numbers that says most."""
    path = PurePath(paths[0])
    parts = [*path.parts[:-1], path.name.split(".")[0]]
    for part in [parts[-1], *reversed(parts[:-1])]:
        words = [t for t in re.split(r"[^A-Za-z]+", part) if t]
        if len(paths) > 1:
            words = [
                w
                for w in words
                if w.lower() not in ("part", "data", "dt", "date", "day", "ds", "file", "shard")
            ]
        if words:
            return recipe_name("_".join(words))
    return "table"
