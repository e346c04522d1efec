"""Digests of code and files, for cache keys: what changes them is exactly what a step depends on."""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from serving.contents import folder_digest as folder_digest

_ROOT = Path(__file__).resolve().parent.parent
_OURS = ("pipeline", "mtl_models", "serving")


def code_digest(*modules: str) -> str:
    """Digest of these modules and of every module of ours that they import, directly or not; of modules
    that are not ours (a recipe's `package.module:Name`) it is their own file."""
    digest = hashlib.sha256()
    for module in modules:
        if module.split(".")[0] not in _OURS:
            try:
                found = importlib.util.find_spec(module)
            except ModuleNotFoundError:
                found = None
            if found is None or found.origin is None:
                raise ValueError(f"there is no module {module}; it must be installed, or on PYTHONPATH")
            digest.update(Path(found.origin).read_bytes())
    for path in sorted(_reached(modules)):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    lock = _ROOT / "requirements.lock"
    if lock.is_file():
        digest.update(lock.read_bytes())
    else:  # installed from a wheel: what is installed stands for the lock
        from importlib.metadata import distributions

        installed = sorted(f"{d.name}=={d.version}" for d in distributions())
        digest.update("\n".join(installed).encode())
    return digest.hexdigest()[:16]


def text_digest(*texts: str) -> str:
    """Digest of texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _reached(modules: Iterable[str]) -> set[Path]:
    found: set[Path] = set()
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])  # importing a module runs its packages
        path = _file(module)
        if path is not None and path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return found


def _file(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> list[str]:
    """Modules of ours that a file imports; a lazy table of homes (as `mtl_models/__init__.py` has) counts
    for every name imported through it."""
    found: list[str] = []
    for module, names in _stated_imports(path.read_text()):
        found.append(module)
        package = _file(module) if names else None
        homes = _lazy_homes(package.read_text()) if package and package.name == "__init__.py" else {}
        for name in names:
            # the name may be a module, or something defined in one
            found.append(f"{module}.{name}")
            if name in homes:
                found.append(f"{module}.{homes[name]}")
    return found


# by its text: a run digests the same files a dozen times, and parsing them is most of what that takes
@functools.cache
def _stated_imports(source: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Modules of ours that a file's text names, and the names that it takes from each."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.module, tuple(alias.name for alias in node.names)))
    return tuple((module, names) for module, names in found if module.split(".")[0] in _OURS)


@functools.cache
def _lazy_homes(source: str) -> dict[str, str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_HOMES":
            return ast.literal_eval(node.value)
    return {}
