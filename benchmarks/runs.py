"""Runs that benchmarks time: recipes on cuts of real tables, each a process, with what its manifest says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import table_source

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Done:
    """A run that has ended.

    Attributes
    ----------
    seconds : float
        Wall time of the whole process.
    stages : mapping of str to float
        Seconds by stage.
    memory : int
        Most bytes held at once by the process and its workers (shared pages counted once), where Linux tells.
    """

    path: Path
    seconds: float
    stages: Mapping[str, float]
    results: Mapping[str, Any]
    memory: int


def cut(data: Path, name: str, rows: int, folder: Path, seed: int = 0) -> Path:
    """Write a random cut of a table as CSV; return where."""
    frame, _ = table_source(name, data).read()
    path = folder / f"{name}-{rows}.csv"
    frame.sample(min(rows, len(frame)), random_state=seed).to_csv(path, index=False)
    return path


def recipe(table: Path, target: str, **sections: Any) -> dict[str, Any]:
    """Return a recipe; sections are merged over the least that one needs."""
    return {"version": 1, "data": {"source": str(table), "target": target, **sections.pop("data", {})}, **sections}


def run(content: Mapping[str, Any], out: Path, *options: str) -> Done:
    """Run a recipe through the command line."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f"{out.name}.yaml")
    path.write_text(json.dumps(content))  # JSON is YAML
    command = [sys.executable, "-m", "curator", "run", str(path), "--out", str(out), *options]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    watch = Watch(process.pid)
    _, error = process.communicate()
    seconds = time.perf_counter() - started
    memory = watch.stop()
    if process.returncode:
        raise RuntimeError(f"{out.name} ended with {process.returncode}: {error.strip()[-1500:]}")
    manifest, results = (json.loads((out / name).read_text()) for name in ("manifest.json", "results.json"))
    return Done(out, seconds, manifest["seconds"], results, memory)


class Watch:
    """Follows the memory of a process and its children, four times a second."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the most bytes seen."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _follow(self) -> None:
        while not self._ended.wait(0.25):
            self._peak = max(self._peak, sum(map(_proportional_bytes, _family(self._pid))))


def _family(pid: int) -> list[int]:
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  # names are enough
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            found += [p for child in children for p in _family(int(child))]
    except OSError:
        pass
    return found


def _proportional_bytes(pid: int) -> int:
    """Return the process's memory, pages shared with others divided among them; mapped files do not count."""
    try:
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        return sum(int(rows[name].split()[0]) * 1024 for name in ("Pss_Anon", "Pss_Shmem"))
    except (OSError, ValueError, KeyError):
        return 0
