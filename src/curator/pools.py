"""The pools of a run: one a fold, named by what decides its content, taken over from runs beside it where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curator.parallel import Workers
from curator.prepare import Setup
from curator.progress import Progress
from curator.rundir import RunDirectory
from curator.score.candidates import ABOUT, make_candidates
from curator.score.pool import PoolTask, build_pool
from curator.table import Fold


class Pools:
    """Knows where each fold's pool is, and has those made that are missing."""

    def __init__(self, setup: Setup, directory: RunDirectory) -> None:
        self._setup, self._directory = setup, directory
        self._tasks: dict[str, PoolTask] = {}

    def task(self, fold: Fold) -> PoolTask:
        """Return what builds the pool of a fold."""
        if fold.key not in self._tasks:
            self._tasks[fold.key] = self._setup.pool_task(fold, self._directory.pool)
        return self._tasks[fold.key]

    def folder(self, fold: Fold) -> Path:
        """Return where the pool of a fold is."""
        return self.task(fold).folder

    def make(self, folds: Sequence[Fold], workers: Workers, progress: Progress, stage: str) -> None:
        """Build the pools of `folds`, less whatever is there already, here or in a run beside this one.

        Candidates come first, a task a source and fold, since some sources take many times as long as others.
        """
        tasks = [self.task(f) for f in folds]
        parts = [part for task in tasks for part in task.parts]
        progress.stage(stage, len(parts) + len(tasks))
        waiting = [task for task in tasks if not self._found(task.folder)]
        needed = [part for task in tasks for part in task.parts if not self._found(part.folder)]
        for task in waiting:
            for folder in task.judged.values():
                self._found(folder)
        progress.advance(len(parts) + len(tasks) - len(needed) - len(waiting))
        workers.map(make_candidates, needed, done=lambda *_: progress.advance())
        workers.map(build_pool, waiting, done=lambda *_: progress.advance())

    def _found(self, folder: Path) -> bool:
        return (folder / ABOUT).is_file() or self._directory.borrow(folder, ABOUT)


