"""Arguments and options that several commands of `mtl` have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Folder(click.Path):
    """A folder of this machine, as a `Path`; a URI would otherwise become a folder of that name."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(
                f"{value} is no folder of this machine. Sources on s3, gs and hdfs are named by the "
                "recipe (`files: s3://bucket/...`), and so is a bucket for what steps make (`pipeline_root: "
                "gs://bucket/folder`); records, reports and models are written to a folder",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


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
