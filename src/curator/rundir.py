"""Every path of a run directory. Files are written under a temporary name and renamed; the manifest comes last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from curator.errors import CuratorError, RunDirectoryError

FORMAT_VERSION = 2
_OWN = (
    "recipe.yaml", "manifest.json", "study.db", "trials.parquet", "pool", "curated.parquet", "curated.csv",
    "curated", "synthetic.parquet", "synthetic.csv", "ledger.parquet", "ledger", "results.json", "report.html",
    "croissant.json", "README.md", ".run.json", ".lock",
)  # fmt: skip
_PARTS = ".part"
_BEFORE_THE_START = {".lock", f".run.json{_PARTS}"}


class RunDirectory:
    """The directory of one run.

    Attributes
    ----------
    path : Path
    borrows : bool
        Whether cached folders of runs beside this one may be taken over.
    """

    def __init__(self, path: str | os.PathLike[str], *, borrows: bool = True) -> None:
        self.path, self.borrows = Path(path), borrows

    recipe = property(lambda self: self.path / "recipe.yaml")
    manifest = property(lambda self: self.path / "manifest.json")
    study = property(lambda self: self.path / "study.db")
    trials = property(lambda self: self.path / "trials.parquet")
    pool = property(lambda self: self.path / "pool")
    curated = property(lambda self: self.path / "curated.parquet")
    curated_csv = property(lambda self: self.path / "curated.csv")
    synthetic = property(lambda self: self.path / "synthetic.parquet")
    synthetic_csv = property(lambda self: self.path / "synthetic.csv")
    ledger = property(lambda self: self.path / "ledger.parquet")
    parts = property(lambda self: self.path / "curated")
    ledger_parts = property(lambda self: self.path / "ledger")
    results = property(lambda self: self.path / "results.json")
    report = property(lambda self: self.path / "report.html")
    croissant = property(lambda self: self.path / "croissant.json")
    card = property(lambda self: self.path / "README.md")
    started = property(lambda self: self.path / ".run.json")

    @property
    def data(self) -> Path:
        """The curated dataset: one file, or for a large table the folder of its files."""
        return Path(self.parts if self.parts.is_dir() else self.curated)

    @property
    def ledgers(self) -> list[Path]:
        """The files of the ledger."""
        return sorted(self.ledger_parts.glob("part-*.parquet")) or [Path(self.ledger)]

    def borrow(self, folder: Path, marker: str) -> bool:
        """Take over a cached folder of the same name from a run beside this one; return whether there was one.

        Names are digests of what decides the content. Files are linked where the file system can, else copied: deleting
        either run leaves the other whole. A folder counts as whole when it holds `marker`.
        """
        if not self.borrows:
            return False
        for marked in sorted(self.path.parent.glob(f"*/pool/{folder.name}/{marker}")):
            with contextlib.suppress(OSError), atomic_folder(folder) as part:
                for file in sorted(marked.parent.iterdir()):
                    _link(file, part / file.name)
                return True
        return False

    @property
    def complete(self) -> bool:
        """Whether the run has ended; everything it wrote is there."""
        return bool(self.manifest.is_file())

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the run that is here, finished or not."""
        for path in (self.manifest, self.started):
            if path.is_file():
                content = read_json(path)
                if not isinstance(content, dict) or "fingerprint" not in content:
                    raise RunDirectoryError(f"{path}: is damaged (no fingerprint); run again with --fresh")
                return str(content["fingerprint"])
        return None

    @contextmanager
    def claimed(self, fingerprint: str, *, fresh: bool) -> Iterator[Literal["new", "resumed", "complete"]]:
        """Hold the directory for one run, and say what was found in it.

        Raises
        ------
        RunDirectoryError
            When another run, or something that is no run at all, is in the way, or when it is in use.
        """
        self._refuse_foreign(fingerprint, fresh=fresh)
        with held(self.path), full_disk_explained(self.path):
            if fresh:
                self._clear()
            if self.complete:
                state: Literal["new", "resumed", "complete"] = "complete"
            elif self.started.is_file():
                state = "resumed"
            else:
                state = "new"
                write_json(self.started, {"fingerprint": fingerprint, "format": FORMAT_VERSION})
            yield state

    def _refuse_foreign(self, fingerprint: str, *, fresh: bool) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise RunDirectoryError(f"{self.path}: is a file, not a folder; choose another place with --out")
        a_run = self.manifest.is_file() or self.started.is_file()
        if not a_run and any(p.name not in _BEFORE_THE_START for p in self.path.iterdir()):
            raise RunDirectoryError(f"{self.path}: holds files that are no run; choose an empty folder with --out")
        # Starting over also helps where the marker itself is damaged.
        found = None if fresh else self.fingerprint()
        if found not in (None, fingerprint):
            raise RunDirectoryError(
                f"{self.path}: holds another run (its recipe, data, seed or code differ); use --fresh to replace it, "
                "or another --out"
            )

    def _clear(self) -> None:
        for name in _OWN:
            # With what SQLite and interrupted writes leave beside a file: an old journal would spoil a new study.
            for path in (self.path / f"{name}{ending}" for ending in ("", _PARTS, "-journal", "-wal", "-shm")):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != ".lock":
                    path.unlink(missing_ok=True)

    def close_search(self, trials: int) -> None:
        """Note that the search has ended with so many trials: from here on the holdout may be read."""
        write_json(self.started, {**read_json(self.started), "trials": trials})

    @property
    def closed_search(self) -> int | None:
        """With how many trials the search ended; None while it may go on."""
        found = read_json(self.started).get("trials") if self.started.is_file() else None
        return None if found is None else int(found)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest with the sha256 of every file; the run is complete with it."""
        for stray in sorted(self.path.rglob(f"*{_PARTS}")):
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink(missing_ok=True)
        files = {
            str(p.relative_to(self.path)): file_hash(p)
            for p in [*sorted(self.path.iterdir()), *sorted(self.parts.glob("*")), *sorted(self.ledger_parts.glob("*"))]
            if p.is_file() and p.relative_to(self.path).parts[0] in _OWN and not p.name.startswith(".")
        }
        write_json(self.manifest, {**manifest, "files": files})
        self.started.unlink(missing_ok=True)

    def record_anew(self, path: Path) -> None:
        """Put the hash of one file that was written again into the manifest."""
        manifest = read_json(self.manifest)
        manifest["files"][str(path.relative_to(self.path))] = file_hash(path)
        write_json(self.manifest, manifest)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Make a directory where there is none, and keep other processes from working in it.

    Raises
    ------
    RunDirectoryError
        When one does already.
    """
    from filelock import FileLock, Timeout

    with full_disk_explained(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, NotADirectoryError):
            # That this is so is known only of a folder that is to be made.
            raise RunDirectoryError(f"{path}: no folder can be made here; choose another place with --out") from None
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunDirectoryError(f"{path}: another process is working on this run; wait for it") from None
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            (path / ".lock").unlink()


def file_hash(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says into a sentence."""
    import errno

    try:
        yield
    except OSError as error:
        full = {
            errno.ENOSPC: "the disk is full; make room and run the same command again, finished work is kept",
            errno.EDQUOT: "the disk quota is used up; make room and run the same command again, finished work is kept",
        }
        closed = {
            errno.EACCES: "permission denied; choose another place with --out",
            errno.EROFS: "the file system is read-only; choose another place with --out",
        }
        where = str(error.filename or path).removesuffix(_PARTS)
        if error.errno in full:
            raise CuratorError(f"{where}: {full[error.errno]}") from error
        if error.errno in closed:
            raise RunDirectoryError(f"{where}: {closed[error.errno]}") from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place if the block ends well."""
    part = path.with_name(f"{path.name}{_PARTS}")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105  # Path.replace is the same call
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; NaN and infinities become null, which every reader understands."""
    write_text(path, to_json(content) + "\n")


def to_json(content: Any) -> str:
    """Return JSON with plain numbers; NaN and infinities become null."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    import dataclasses
    import math

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(v) for v in value)  # sets have an order of their own in every process
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunDirectoryError(f"{path}: is damaged ({error}); run again with --fresh") from None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, which takes the place of `path` if the block ends well."""
    part = path.with_name(f"{path.name}{_PARTS}")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)  # noqa: PTH105  # Path.replace is the same call
    finally:
        if part.exists():
            shutil.rmtree(part)


def _link(file: Path, target: Path) -> None:
    # Lists that grow are copied: a link would let two runs write one file.
    if file.suffix != ".jsonl":
        with contextlib.suppress(OSError):
            os.link(file, target)
            return
    shutil.copyfile(file, target)
