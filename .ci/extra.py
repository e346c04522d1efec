"""Prints what an extra of setup.py asks for, a line each."""

import sys
from pathlib import Path
from unittest import mock

import setuptools

with mock.patch.object(setuptools, "setup") as asked:
    exec(compile(Path("setup.py").read_text(encoding="utf-8"), "setup.py", "exec"))
print("\n".join(asked.call_args.kwargs["extras_require"][sys.argv[1]]))
