"""Says in one sentence whether this Python and platform are supported. Runs on any Python 3."""

import platform
import sys

SUPPORTED = (
    "Linux x86-64 with glibc 2.36 or newer and Python 3.11, or Linux x86-64 with glibc 2.39 or newer "
    "and macOS on arm64 with Python 3.12 or 3.13"
)


def problem():
    """Why not, or an empty text."""
    version = sys.version_info[:2]
    machine = platform.machine().lower()
    found = "Python %d.%d on %s %s" % (version[0], version[1], platform.system(), machine)
    name, glibc = platform.libc_ver()
    if platform.system() == "Linux" and machine in ("x86_64", "amd64") and name == "glibc":
        numbers = tuple(int(n) for n in glibc.split(".")[:2])
        least = {(3, 11): (2, 36), (3, 12): (2, 39), (3, 13): (2, 39)}.get(version)
        if least is not None and numbers >= least:
            return ""
        found += " with glibc " + glibc
    elif platform.system() == "Darwin" and machine == "arm64" and version in ((3, 12), (3, 13)):
        return ""
    return "%s is not supported; supported are %s." % (found, SUPPORTED)


if __name__ == "__main__":
    sys.exit(problem() or 0)
