"""Which versions of the packages that matter are at work."""

import importlib.metadata

_PACKAGES = ("tfx", "tensorflow", "keras", "apache-beam", "tensorflow-transform", "tensorflow-model-analysis")


def package_versions() -> dict[str, str]:
    """Package -> version."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
