"""The packages that decide a result: with other versions of them, the same recipe may give other bytes."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

DECISIVE = ("hybrid-curator", "sdv", "ctgan", "copulas", "rdt", "torch", "scikit-learn", "imbalanced-learn", "numpy",
            "pandas", "scipy", "faiss-cpu")  # fmt: skip


@lru_cache(maxsize=1)
def decisive_versions() -> tuple[tuple[str, str], ...]:
    """Return (package, version) of each; ``missing`` where one is not installed."""
    return tuple((name, _version(name)) for name in DECISIVE)


@lru_cache(maxsize=32)
def package_version(path: str) -> str:
    """Return the version of the package that an import path begins with, where its name is the package's."""
    return _version(path.split(".", maxsplit=1)[0])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
