"""The one error a recipe raises: every mistake found, each with its place and its remedy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake: the field's dotted path, the line in the file, the value, and what would be right."""

    path: str
    message: str
    line: int | None = None
    value: object = None

    def __str__(self) -> str:
        place = self.path or "recipe"
        if self.line is not None:
            place += f" (line {self.line})"
        shown = "" if self.value is None else f" [got {_short(self.value)}]"
        return f"{place}: {self.message}{shown}"


class RecipeError(ValueError):
    """A recipe that cannot be used; `problems` lists every mistake found."""

    def __init__(self, source: str, problems: list[Problem]):
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {p}" for p in problems)]))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
