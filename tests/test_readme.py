"""What the README shows is what loads."""

import re
from pathlib import Path

import yaml

from pipeline.recipe import loads

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def recipe_under(heading: str) -> dict:
    part = TEXT[TEXT.index(heading) :]
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", part, re.S)[1])


def test_the_recipe_shown_loads_with_and_without_the_parts_that_may_be_added():
    whole = recipe_under("### What a recipe says")
    assert list(loads(yaml.safe_dump(whole)).tasks) == ["click", "watch"]
    more = recipe_under("### Logs as they are")
    for section, entries in more.items():
        whole[section] = {**whole.get(section, {}), **entries}
    recipe = loads(yaml.safe_dump(whole))
    assert recipe.event_tasks == ["order", "spend"] and recipe.columns["recent_items"].max_length == 20


def test_every_command_of_the_readme_is_there():
    from pipeline.cli import mtl

    shown = set(re.findall(r"^\| `mtl ((?:recipe |data |models |runs )?[a-z]+) [A-Z-]", TEXT, re.M))
    known = set()
    for name, command in mtl.commands.items():
        known |= {f"{name} {n}" for n in command.commands} if hasattr(command, "commands") else {name}
    assert shown == known
