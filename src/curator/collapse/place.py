"""Where a simulation keeps its generations and its results."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.curate import run_directory
from curator.errors import RunDirectoryError
from curator.rundir import held, read_json, write_json, write_text
from curator.setup import Setup
from curator.versions import decisive_versions

if TYPE_CHECKING:
    from curator.collapse.world import World

_OWN = ("generations", "runs", "collapse.json", "collapse.csv", "report.html", ".collapse.json", ".lock")


@dataclass(frozen=True)
class Place:
    """The directory of one simulation.

    Attributes
    ----------
    path : Path
    fingerprint : str
        SHA-256 of what decides every generation; what else decides one is in its folder's name.
    """

    path: Path
    fingerprint: str

    runs = property(lambda self: self.path / "runs")
    results = property(lambda self: self.path / "collapse.json")
    table = property(lambda self: self.path / "collapse.csv")
    report = property(lambda self: self.path / "report.html")
    marker = property(lambda self: self.path / ".collapse.json")

    def generation(self, name: str) -> Path:
        """Return the folder of a generation; no folder of another simulation has the name, on whatever machine."""
        return self.path / "generations" / f"{name}-{self.fingerprint[:12]}"

    @classmethod
    def of(cls, setup: Setup, world: World, out: str | os.PathLike[str] | None) -> Place:
        """Return the place of a simulation: `out`, or a folder beside the recipe's runs."""
        import pandas as pd

        digest = hashlib.sha256(setup.fingerprint.encode())
        digest.update(json.dumps(decisive_versions(), sort_keys=True, default=str).encode())
        judges = pd.util.hash_pandas_object(world.judges, index=False).to_numpy()
        for values in (world.y, world.weight, judges):
            digest.update(np.ascontiguousarray(values).tobytes())
        digest.update(world.table.content_hash.encode())
        path = run_directory(setup.recipe, digest.hexdigest(), out).path
        if out is None:
            path = path.with_name(f"{setup.recipe.name}-collapse-{digest.hexdigest()[:8]}")
        return cls(path, digest.hexdigest())

    @contextmanager
    def claimed(self, *, fresh: bool) -> Iterator[None]:
        """Hold the directory.

        Raises
        ------
        RunDirectoryError
            When something else is there, or it is in use.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunDirectoryError(f"{self.path}: is a file, not a folder; choose another place with --out")
        # Of what was being written when a simulation was killed, its part is left.
        found = {p.name.removesuffix(".part") for p in self.path.iterdir()} if self.path.is_dir() else set()
        if found - set(_OWN) or (found - {".lock", ".collapse.json"} and not self.marker.is_file()):
            raise RunDirectoryError(f"{self.path}: holds files of something else; choose an empty folder with --out")
        with held(self.path):
            if fresh:
                self._clear()
            for part in sorted(self.path.glob("*.part")):
                part.unlink()
            holds = read_json(self.marker).get("fingerprint") if self.marker.is_file() else self.fingerprint
            if holds != self.fingerprint:
                raise RunDirectoryError(
                    f"{self.path}: holds another simulation (its recipe, data or settings differ); use --fresh to "
                    "replace it, or another --out"
                )
            write_json(self.marker, {"fingerprint": self.fingerprint})
            yield

    def _clear(self) -> None:
        for name in _OWN:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            elif name != ".lock":
                path.unlink(missing_ok=True)

    def write(self, content: Mapping[str, Any]) -> None:
        """Write results, table and report."""
        from curator.report.decay import collapse_page

        rows = content["figures"]
        lines = io.StringIO()
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.table, lines.getvalue())
        write_json(self.results, content)
        write_text(self.report, collapse_page(self.content()))

    def content(self) -> dict[str, Any]:
        """Return what ``collapse.json`` holds."""
        found: dict[str, Any] = read_json(self.results)
        return found
