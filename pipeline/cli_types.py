"""Arguments and options that several commands of `mtl` have, and how their examples are written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


class Folder(click.Path):
    """A folder of this machine, as a `Path`; a URI would otherwise become a folder of that name.

    Args:
      exists: whether it must be there already, and be readable.
    """

    def __init__(self, exists: bool = False) -> None:
        super().__init__(exists=exists, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(
                f"{value} is no folder of this machine. Sources on s3, gs and hdfs are named by the "
                "recipe (`files: s3://bucket/...`), and so is a bucket for what steps make (`pipeline_root: "
                "gs://bucket/folder`); records, reports and models are written to a folder",
                param,
                ctx,
            )
        folder = Path(super().convert(value, param, ctx))
        if not str(value):
            self.fail("it is empty; . is the folder where you are", param, ctx)
        if folder.is_symlink() and not os.path.exists(folder):
            self.fail(f"{folder} is a link to what is not there", param, ctx)
        return folder


THERE = Folder(exists=True)

recipe_argument = click.argument("recipe", type=FILE)

input_option = click.option(
    "--input",
    "input_dir",
    type=THERE,
    help="Folder that the recipe's files are below; the recipe's own folder where left out.",
)


def output_option(help: str) -> Callable[[Callable], Callable]:
    """The option `--output`, a folder of runs, `output` where left out."""
    return click.option("--output", type=Folder(), default="output", show_default=True, help=help)


def settings_option(example: str, of: str = "of the recipe") -> Callable[[Callable], Callable]:
    """The option `--set`, as the argument `settings`.

    Args:
      example: a setting that this command has a use for.
      of: whose settings they are, where it is not plain.
    """
    return click.option(
        "--set",
        "-s",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Override a setting{f' {of}' if of else ''}, such as {example}; @FILE: those in a file. "
        "Repeatable.",
    )


def examples(*lines: str) -> str:
    """The end of a command's help: command lines, each as it is typed."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
