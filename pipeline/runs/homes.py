"""Recommenders' folders below an output folder."""

from pathlib import Path


def homes(output: Path) -> list[Path]:
    """Those of `--output` of `mtl run`, or the one that is given itself; by name."""
    if (output / "runs").is_dir():
        return [output]
    return sorted(path.parent for path in output.glob("*/runs") if path.is_dir())
