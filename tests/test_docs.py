"""What README.md and the pages of docs show is what loads, and their links lead somewhere."""

import functools
import itertools
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pipeline.cli import mtl
from pipeline.recipe import RecipeError, loads
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Gate

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


def fragments(page: Path) -> list[dict]:
    """The sections of recipes in a page's YAML, each with what is shown of it; elided ones are left out."""
    found = []
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M):
        for part in re.split(r"^(?=[a-z])", block, flags=re.M):
            section = part.partition(":")[0].strip()
            if section in {*Recipe.model_fields} - {"version", "name"} and "..." not in part:
                found.append(yaml.safe_load(part))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_shown_is_a_setting(page):
    whole = yaml.safe_load(text_of("data/demo/recipe.yaml"))
    for fragment in fragments(page):
        try:
            loads(yaml.safe_dump(laid_over(whole, fragment)))
        except RecipeError as error:  # other names than the demo's are all that may be wrong
            unknown = [p for p in error.problems if "is not a setting here" in p.message]
            assert not unknown, fragment


def laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: laid_over(below.get(key), value) for key, value in above.items()}


def test_every_gate_shown_is_a_gate():
    shown = re.findall(r"`(\{(?:task|vectors): [^`]*\})`", text_of("docs/evaluation.md"))
    assert len(shown) >= 7
    for gate in shown:
        Gate.model_validate(yaml.safe_load(gate))


def command_lines(page: Path) -> list[str]:
    """What a page's blocks give to `mtl`, also where `mtl` itself printed it."""
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r" *mtl [a-z]", line)]


def refused(line: str) -> str:
    """What the command says of a line's names and options, whose values are not looked at."""
    command, context = mtl, click.Context(mtl, info_name="mtl")
    arguments = shlex.split(line.split(" > ")[0], comments=True)[1:]
    try:
        while isinstance(command, click.Group):
            _, command, arguments = command.resolve_command(context, arguments)
            context = click.Context(command, parent=context)
        given, left, _ = command.make_parser(context).parse_args(arguments)
        missing = [p.name for p in command.params if p.required and p.value_is_missing(given.get(p.name))]
        return f"{missing} missing, {left} left" if missing or left else ""
    except click.UsageError as error:
        return error.format_message()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_shown_is_one_that_the_command_takes(page):
    wrong = {line: said for line in command_lines(page) if (said := refused(line))}
    assert not wrong


def test_a_command_line_that_is_wrong_is_seen():
    assert command_lines(ROOT / "README.md")
    assert "--inptu" in refused("mtl run recipe.yaml --inptu folder")
    assert "No such command" in refused("mtl modles list output") and "missing" in refused("mtl report")


def test_every_command_is_on_its_page():
    text = text_of("docs/commands.md")
    shown = set(re.findall(r"^\| `mtl ((?:recipe |data |models |runs )?[a-z]+) [A-Z-]", text, re.M))
    known = set()
    for name, command in mtl.commands.items():
        known |= {f"{name} {n}" for n in command.commands} if hasattr(command, "commands") else {name}
    assert shown == known


@pytest.mark.slow
def test_the_library_alone_prints_what_its_page_shows():
    code, shown = re.findall(r"^```(?:python)?\n(.*?)^```$", text_of("docs/library.md"), re.S | re.M)[:2]
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    pattern = r"[0-9.]*".join(re.escape(part) for part in "".join(shown.split()).split("..."))
    assert re.search(pattern, "".join(printed.split()))
