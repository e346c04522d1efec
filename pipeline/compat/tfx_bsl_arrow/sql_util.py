"""Stands in for a module that tfx-bsl 1.21 no longer has.

TensorFlow Data Validation 1.16.1, the newest that runs on glibc older than 2.38, imports
`tfx_bsl.arrow.sql_util` for its option `slice_sqls`; tfx-bsl dropped the module together with
ZetaSQL. `setup.py` installs this file under that name, so that every process finds it: Beam's
workers, which import TFDV too, do not see what the main process patches.
"""


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(
        f"tfx_bsl.arrow.sql_util.{name} is not available: tfx-bsl 1.21 has no ZetaSQL. "
        "Leave `slice_sqls` out of TFDV's StatsOptions and slice with slice_functions instead."
    )
