"""Running independent tasks: in this process, in worker processes, or on a Dask cluster; always one thread each.

Results never depend on where tasks run: they are pure functions of their arguments, results come back in the order of
the tasks, and BLAS and OpenMP use one thread everywhere (a sum over two threads rounds differently).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from curator.errors import CuratorError


class Task(Protocol):
    """What one call of a function works on; it reaches whatever machine the call runs on.

    Large data travels in folders, whose names are unique to their content: those that a task `reads` are brought to the
    machine once, those that it `writes` are brought back.
    """

    @property
    def reads(self) -> tuple[Path, ...]:
        """Folders that must be there before."""

    @property
    def writes(self) -> tuple[Path, ...]:
        """Folders that are there afterwards."""

    @property
    def cost(self) -> float:
        """Roughly how long it takes beside other tasks of its kind: long ones start first."""

    def moved(self, store: Path) -> Self:
        """Return the same task with all its folders in `store`."""


@dataclass(frozen=True, eq=False)
class FolderTask:
    """A task that reads no folder and makes one, whose name is a digest of what decides its content."""

    folder: Path

    @property
    def reads(self) -> tuple[Path, ...]:
        """Nothing."""
        return ()

    @property
    def writes(self) -> tuple[Path, ...]:
        """The folder that is made."""
        return (self.folder,)

    def moved(self, store: Path) -> Self:
        """Return the task as it is done in another place."""
        return replace(self, folder=store / self.folder.name)


@dataclass(frozen=True)
class ReadingTask:
    """A task that reads one folder and writes none."""

    folder: Path

    @property
    def reads(self) -> tuple[Path, ...]:
        """The folder."""
        return (self.folder,)

    @property
    def writes(self) -> tuple[Path, ...]:
        """Nothing."""
        return ()

    def moved(self, store: Path) -> Self:
        """Return the task as it is done in another place."""
        return replace(self, folder=store / self.folder.name)


T = TypeVar("T", bound=Task)
R = TypeVar("R")
Done = Callable[[int, R], Sequence[T] | None]

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
# loky takes a worker that has grown by 300 MB for leaking, restarts it and warns; SDV and torch alone are larger.
_WORKER = {**ONE_THREAD, "TQDM_DISABLE": "1", "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}
# A killed worker is replaced and its tasks run again this often before the run gives up.
MOST_RESTARTS = 3


def available_cores() -> int:
    """Return the cores this process may use: affinity and container limits counted."""
    from loky import cpu_count

    return max(1, int(cpu_count()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP, torch and joblib of this process to one thread."""
    import joblib
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401  # limits reach only those libraries that are loaded already
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), joblib.parallel_config(backend="sequential"):
        yield


class Workers(Protocol):
    """A place to run tasks, used as a context manager."""

    @property
    def slots(self) -> int:
        """How many tasks run at once."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T], *, done: Done[R, T] | None = None) -> list[R]:
        """Return ``[function(task) for task in tasks]``.

        As each task finishes, `done` is called in this process with its place and its result. It may return further
        tasks, which take the next places; their results come after those of `tasks`.

        Raises
        ------
        CuratorError
            When workers keep being killed.
        """

    def __enter__(self) -> Self:
        """Begin; workers start with the first tasks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the workers go; at once when there was an error."""


class LocalWorkers:
    """Workers on this machine.

    Parameters
    ----------
    jobs : int
        Worker processes; with 1, tasks run in this process.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = self.slots = jobs
        self._executor: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=error is None, kill_workers=error is not None)
            self._executor = None

    def map(self, function: Callable[[T], R], tasks: Sequence[T], *, done: Done[R, T] | None = None) -> list[R]:
        """See `Workers.map`."""
        waiting = list(tasks)
        if self.jobs == 1 or not waiting:
            return self._here(function, waiting, done)
        results: dict[int, R] = {}
        restarts = 0
        while len(results) < len(waiting):
            if self._run(function, waiting, results, done):
                continue
            restarts += 1
            if restarts > MOST_RESTARTS:
                raise CuratorError(
                    f"worker processes were killed {restarts} times, most likely for want of memory; finished work is "
                    "kept: run the same command with --jobs 1, or with fewer rows"
                )
        return [results[i] for i in range(len(waiting))]

    @staticmethod
    def _here(function: Callable[[T], R], tasks: list[T], done: Done[R, T] | None) -> list[R]:
        results: list[R] = []
        with one_thread():
            while len(results) < len(tasks):
                place = len(results)
                results.append(function(tasks[place]))
                tasks += (done(place, results[place]) if done is not None else None) or ()
        return results

    def _run(self, function: Callable[[T], R], tasks: list[T], results: dict[int, R], done: Done[R, T] | None) -> bool:
        """Run the tasks without a result, and those that are added; return False when a worker was killed."""
        from concurrent.futures import FIRST_COMPLETED, wait

        from loky.process_executor import TerminatedWorkerError

        executor = self._start()
        try:
            futures = {executor.submit(function, tasks[i]): i for i in longest_first(tasks, results)}
            while futures:
                finished, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in finished:
                    place = futures.pop(future)
                    results[place] = future.result()
                    before = len(tasks)
                    # All are noted before any is handed over, which fails where a worker has just been killed.
                    tasks += (done(place, results[place]) if done is not None else None) or ()
                    futures |= {executor.submit(function, tasks[i]): i for i in range(before, len(tasks))}
        except TerminatedWorkerError:
            executor.shutdown(wait=False, kill_workers=True)
            self._executor = None
            return False
        return True

    def _start(self) -> Any:
        if self._executor is None:
            from loky import ProcessPoolExecutor

            self._executor = ProcessPoolExecutor(
                max_workers=self.jobs, initializer=_start_worker, env=_WORKER, timeout=None
            )
        return self._executor


def longest_first(tasks: Sequence[T], results: dict[int, R]) -> list[int]:
    """Return the places of tasks without a result, the costliest first: a long task at the end keeps others waiting."""
    missing = [i for i in range(len(tasks)) if i not in results]
    return sorted(missing, key=lambda i: (-tasks[i].cost, i))


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ONE_THREAD)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
