"""The pools of a run: one a fold, named by what decides its content, taken over from runs beside it where they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from curator.parallel import Workers
from curator.progress import Progress
from curator.rundir import RunDirectory
from curator.score.build import PoolTask, build_pool
from curator.score.candidates import ABOUT, BALANCING, CandidateTask, make_candidates
from curator.score.choice import ChoiceTask, choose_teacher
from curator.score.pool import Pool
from curator.setup import Setup
from curator.table import Encoding, Fold

Step = CandidateTask | ChoiceTask | PoolTask


def barren(pools: Iterable[Pool]) -> frozenset[str]:
    """Return the sources of which no pool has a candidate."""
    every = list(pools)
    given = {p.sources[k] for p in every for k in np.unique(p.source)}
    return frozenset(name for p in every for name in p.sources if name not in given and name != BALANCING)


def do_step(step: Step) -> None:
    """Do one step toward a pool."""
    if isinstance(step, CandidateTask):
        make_candidates(step)
    elif isinstance(step, ChoiceTask):
        choose_teacher(step)
    else:
        build_pool(step)


class Pools:
    """Knows where each fold's pool is, and has those made that are missing."""

    def __init__(self, setup: Setup, directory: RunDirectory) -> None:
        self._setup, self._directory = setup, directory
        self._tasks: dict[tuple[str, Encoding], PoolTask] = {}

    def task(self, fold: Fold, encoding: Encoding | None = None) -> PoolTask:
        """Return what builds the pool of a fold, by default in the encoding of the recipe's estimator."""
        key = (fold.key, encoding or self._setup.estimator.encoding)
        if key not in self._tasks:
            self._tasks[key] = self._setup.pool_task(fold, self._directory.pool, key[1])
        return self._tasks[key]

    def folder(self, fold: Fold, encoding: Encoding | None = None) -> Path:
        """Return where the pool of a fold is."""
        return self.task(fold, encoding).folder

    def make(
        self,
        folds: Sequence[Fold],
        workers: Workers,
        progress: Progress,
        stage: str,
        *,
        encodings: Iterable[Encoding | None] = (None,),
    ) -> None:
        """Build the pools of `folds`, less whatever is there already, here or in a run beside this one.

        What a pool is made of is made first, a task for each source's candidates and one for the choice of the teacher,
        since some take many times as long as others. A pool is built as soon as all of its parts are there.
        """
        pools = [self.task(f, e) for f in folds for e in encodings]
        waiting = [task for task in pools if not self._found(task.folder)]
        parts: dict[Path, Step] = {part.folder: part for task in pools for part in task.parts}
        parts |= {task.choice.folder: task.choice for task in waiting}
        progress.stage(stage, len(parts) + len(pools))
        missing = {folder: part for folder, part in parts.items() if not self._found(folder)}
        for task in waiting:
            for folder in task.judged.values():
                self._found(folder)
        progress.advance(len(parts) + len(pools) - len(missing) - len(waiting))

        def ready() -> list[Step]:
            """Take the pools that wait for nothing any more off the list."""
            found = [t for t in waiting if not missing.keys() & {t.choice.folder, *(p.folder for p in t.parts)}]
            waiting[:] = [t for t in waiting if t not in found]
            return list(found)

        steps: list[Step] = [*missing.values(), *ready()]

        def done(place: int, _: None) -> list[Step]:
            progress.advance()
            missing.pop(steps[place].folder, None)
            further = ready()
            steps.extend(further)
            return further

        workers.map(do_step, steps[:], done=done)

    def _found(self, folder: Path) -> bool:
        return (folder / ABOUT).is_file() or self._directory.borrow(folder, ABOUT)
