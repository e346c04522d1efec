"""Arguments of `mtl`."""

from pathlib import Path
from typing import Any

import click


class Folder(click.Path):
    """A folder of this machine, as a `Path`; a URI would otherwise become a folder of that name."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(
                f"{value} is no folder of this machine. Sources on s3, gs and hdfs are named by the "
                "recipe (`files: s3://bucket/...`); runs are written to a folder, which may be a mounted bucket's",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)
