"""Running independent tasks: in this process, or in worker processes; always with one numerical thread each.

Results never depend on the number of workers: tasks are pure functions of their arguments, results come back in the
order of the tasks, and BLAS and OpenMP use one thread everywhere (a sum over two threads rounds differently).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from curator.errors import CuratorError

T = TypeVar("T")
R = TypeVar("R")

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
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


class Workers:
    """A place to run tasks, used as a context manager.

    Parameters
    ----------
    jobs : int
        Worker processes; with 1, tasks run in this process.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._executor: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=error is None, kill_workers=error is not None)
            self._executor = None

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], *, done: Callable[[R], None] | None = None
    ) -> list[R]:
        """Return ``[function(task) for task in tasks]``; `done` is called in this process as each one finishes.

        Raises
        ------
        CuratorError
            When workers keep being killed.
        """
        if self.jobs == 1 or len(tasks) == 0:
            return self._here(function, tasks, done)
        results: dict[int, R] = {}
        restarts = 0
        while len(results) < len(tasks):
            missing = [i for i in range(len(tasks)) if i not in results]
            if self._run(function, tasks, missing, results, done):
                continue
            restarts += 1
            if restarts > MOST_RESTARTS:
                raise CuratorError(
                    f"worker processes were killed {restarts} times, most likely for want of memory; finished work is "
                    "kept: run the same command with --jobs 1, or with fewer rows"
                )
        return [results[i] for i in range(len(tasks))]

    @staticmethod
    def _here(function: Callable[[T], R], tasks: Iterable[T], done: Callable[[R], None] | None) -> list[R]:
        results = []
        with one_thread():
            for task in tasks:
                results.append(function(task))
                if done is not None:
                    done(results[-1])
        return results

    def _run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        missing: list[int],
        results: dict[int, R],
        done: Callable[[R], None] | None,
    ) -> bool:
        """Run the missing tasks; return False when a worker was killed on the way."""
        from concurrent.futures import as_completed

        from loky.process_executor import TerminatedWorkerError

        executor = self._start()
        try:
            futures = {executor.submit(function, tasks[i]): i for i in missing}
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                if done is not None:
                    done(future.result())
        except TerminatedWorkerError:
            executor.shutdown(wait=False, kill_workers=True)
            self._executor = None
            return False
        return True

    def _start(self) -> Any:
        if self._executor is None:
            from loky import ProcessPoolExecutor

            self._executor = ProcessPoolExecutor(
                max_workers=self.jobs, initializer=_start_worker, env={**ONE_THREAD, "TQDM_DISABLE": "1"}, timeout=None
            )
        return self._executor


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ONE_THREAD)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
