"""How much of the disk files take."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def freed(paths: Iterable[Path]) -> int:
    """Bytes of the disk that deleting all of these (files, links or folders) would free: a file with another
    hard link elsewhere frees nothing, as versions that were rolled back to share their files."""
    links: dict[tuple[int, int], int] = {}
    total = 0
    for found in (stat for path in paths for stat in _files(path)):
        key = (found.st_dev, found.st_ino)
        links[key] = links.get(key, found.st_nlink) - 1
        if links[key] == 0:
            total += found.st_blocks * 512
    return total


def _files(path: Path) -> Iterator[os.stat_result]:
    """Every file below, or the file itself; folders and links that lead elsewhere count as nothing."""
    if path.is_symlink() or not path.exists():
        return
    if not path.is_dir():
        yield path.stat()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                yield file.stat()


def shown(size: int) -> str:
    """Bytes for a person: `12.3 MB`."""
    for unit, digits in (("kB", 0), ("MB", 1), ("GB", 1), ("TB", 2)):
        size_in = size / 1000 ** (("kB", "MB", "GB", "TB").index(unit) + 1)
        if size_in < 999.5 or unit == "TB":
            break
    return f"{size_in:,.{digits}f} {unit}"
