"""The code that decides a result: with other versions of it, the same recipe may give other bytes."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from curator.errors import UserError

DECISIVE = ("sdv", "ctgan", "copulas", "rdt", "torch", "scikit-learn", "imbalanced-learn", "numpy", "pandas", "scipy",
            "faiss-cpu")  # fmt: skip
# Where this package decides what candidates, scores and fits are; the rest only reads and shows them.
_OWN = ("table", "synthesize", "score", "rare", "mix.py", "estimators.py", "evaluate")
_OURS = "hybrid-curator"


@lru_cache(maxsize=1)
def decisive_versions() -> tuple[tuple[str, str], ...]:
    """Return (package, version) of each; ``missing`` where one is not installed.

    That of this package counts its source too, which may change between versions, e.g. in a checkout.
    """
    places = [Path(__file__).parent / name for name in _OWN]
    files = sorted(file for place in places for file in ([place] if place.suffix else place.glob("*.py")))
    own = f"{_version(_OURS)}+{_digest(tuple((str(p), p.stat().st_mtime_ns) for p in files))}"
    return ((_OURS, own), *((name, _version(name)) for name in DECISIVE))


def code_version(thing: object) -> str:
    """Return the version of the code of a class or function that a recipe, or another package, brings along.

    Code of an installed package has the package's version. A file of one's own has a digest of its content, and of
    that of the files in its folder that it imports.

    Raises
    ------
    UserError
        When such a file has been edited since this process imported it: what runs is not what the file says.
    """
    module = inspect.getmodule(thing)
    if module is None:
        return "unknown"
    package = module.__name__.split(".", maxsplit=1)[0]
    if package == __name__.split(".", maxsplit=1)[0]:
        return "own"  # counted by `decisive_versions`
    file = Path(str(getattr(module, "__file__", None) or ""))
    installed = _distributions().get(package, ()) if _is_installed(file) else ()
    if installed:
        return ", ".join(f"{name} {_version(name)}" for name in sorted(set(installed)))
    if not file.is_file():
        return "unknown"
    # The folder from which the module's name leads to its file.
    root = file.parents[module.__name__.count(".") + hasattr(module, "__path__")]
    found, waiting = {file}, [file]
    while waiting:
        at = waiting.pop()
        further = _imported(at, at.stat().st_mtime_ns, root) - found
        found |= further
        waiting += further
    for one in sorted(found):
        _check_current(one, root)
    return _digest(tuple((str(f), f.stat().st_mtime_ns) for f in sorted(found)))


# Of files of one's own: when they were written, a digest, and what was imported from them, as of the last look.
_looked_at: dict[Path, tuple[int, str, object]] = {}


def _check_current(file: Path, root: Path) -> None:
    """Refuse a file that is not any more what was imported from it, as happens in a notebook."""
    written = file.stat().st_mtime_ns
    parts = file.relative_to(root).with_suffix("").parts
    # An import anew, by hand or by an extension of the notebook, gives the module another specification.
    spec = getattr(sys.modules.get(".".join(parts).removesuffix(".__init__")), "__spec__", None)
    before = _looked_at.get(file)
    if before is not None and before[0] == written and before[2] is spec:
        return
    digest = _digest(((str(file), written),))
    if before is not None and before[1] != digest and spec is not None and spec is before[2]:
        raise UserError(
            f"{file} has been edited since it was imported, so that the code that runs is not what the file says: "
            "restart Python (a notebook's kernel, a worker), or import the module anew with importlib.reload"
        )
    _looked_at[file] = (written, digest, spec)


@lru_cache(maxsize=256)
def _imported(file: Path, written: int, root: Path) -> set[Path]:  # noqa: ARG001  # part of the cache's key
    """Return the files below a folder that are named in a file's import statements, wherever these stand in it."""
    try:
        tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else ast.Module([], [])
    except (SyntaxError, ValueError):
        return set()
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = file.relative_to(root).parts[: -node.level] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{a.name}".strip(".") for a in node.names)]
    # Of a.b.c the packages a and a.b are run as well.
    every = {tuple(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1)}
    places = [root.joinpath(*parts) for parts in every]
    files = {f for place in places for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()}
    return {f for f in files if not _is_installed(f)}


def _is_installed(file: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(file.parts))


def check_same_code(what: str, asked: str, here: str) -> None:
    """Refuse to work with other code than that of the machine which asks.

    Raises
    ------
    UserError
        Where they differ; `asked` may be empty, if anything will do.
    """
    if asked and asked != here:
        raise UserError(
            f"search.scheduler: {what} is {here} on a worker, and {asked} where the run began: results would differ; "
            "install the same code everywhere"
        )


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[str, int], ...]) -> str:
    """Return a digest of some files' content; when they were written tells whether to look again."""
    found = hashlib.sha256()
    for path, _ in files:
        found.update(Path(path).read_bytes())
    return found.hexdigest()[:12]


@lru_cache(maxsize=256)
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
