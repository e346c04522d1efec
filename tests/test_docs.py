"""What README.md and the pages of docs show is what loads, and their links lead somewhere."""

import functools
import itertools
import re
import unicodedata
from pathlib import Path

import pytest
import yaml

from pipeline.recipe import loads

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "data/*/*.md", "benchmarks/*.md", "serving/deploy/*.md")
    for page in ROOT.glob(pattern)
)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


@functools.cache
def anchors(page: Path) -> set[str]:
    """As GitHub makes them: lower case, no punctuation, a dash for a space, a number from the second on."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.+?) *$", prose(page), re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        kept = "".join(c for c in plain if c in "-_ " or unicodedata.category(c)[0] in "LN")
        name = again = kept.replace(" ", "-")
        for number in itertools.count(1):
            if again not in found:
                break
            again = f"{name}-{number}"
        found.add(again)
    return found


def recipe_under(page: str, heading: str) -> dict:
    part = text_of(page)
    part = part[part.index(heading) :]
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", part, re.S)[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_recipe_shown_loads_with_and_without_the_parts_that_may_be_added():
    whole = recipe_under("README.md", "### What a recipe says")
    assert list(loads(yaml.safe_dump(whole)).tasks) == ["click", "watch"]
    more = recipe_under("docs/data.md", "# Logs as they are")
    for section, entries in more.items():
        whole[section] = {**whole.get(section, {}), **entries}
    recipe = loads(yaml.safe_dump(whole))
    assert recipe.event_tasks == ["order", "spend"] and recipe.columns["recent_items"].max_length == 20


def test_every_command_is_on_its_page():
    from pipeline.cli import mtl

    text = text_of("docs/commands.md")
    shown = set(re.findall(r"^\| `mtl ((?:recipe |data |models |runs )?[a-z]+) [A-Z-]", text, re.M))
    known = set()
    for name, command in mtl.commands.items():
        known |= {f"{name} {n}" for n in command.commands} if hasattr(command, "commands") else {name}
    assert shown == known
