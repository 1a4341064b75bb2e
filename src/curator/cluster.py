"""Running tasks on a Dask cluster: the same tasks, the same bytes, other machines. The only file that imports dask.

Nothing is assumed to be shared but the network. Folders that tasks read are sent to the cluster once, and unpacked once
by each worker process into its own local directory, where arrays are mapped as they are here; folders that tasks write
come back as bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from curator.errors import CuratorError, UserError, reason_of
from curator.parallel import MOST_RESTARTS, ONE_THREAD, Done, Task, longest_first
from curator.rundir import atomic_folder, full_disk_explained
from curator.versions import decisive_versions

T = TypeVar("T", bound=Task)
R = TypeVar("R")
Packed = dict[str, bytes]

_CONNECT_SECONDS = 15
_FIRST_WORKER_SECONDS = 60
_LOOK_SECONDS = 2
# Lists that grow beside a cached folder are the business of the process that started the run.
_STAYS = ".jsonl"
# SDV swaps numpy's global generator, so tasks of one process take turns, however many threads its worker has.
_TURN = threading.Lock()
_THREAD = threading.local()


class DaskWorkers:
    """Workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str
        Its address, e.g. ``tcp://host:8786``; ``tls://`` takes certificates from Dask's own configuration.
    """

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler
        self._client: Any = None
        self._sent: dict[Path, Any] = {}

    @property
    def slots(self) -> int:
        """Worker processes that are there now."""
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def __enter__(self) -> Self:
        try:
            from distributed import Client
        except ImportError:
            raise UserError(
                "search.scheduler: Dask is not installed; run: pip install 'hybrid-curator[dask]'"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self._client = Client(self.scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(
                f"search.scheduler: no Dask scheduler answers at {self.scheduler} ({reason_of(error)}); "
                "start one with `dask scheduler`, or leave search.scheduler out to use this machine"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
        except TimeoutError:
            self._client.close()
            raise UserError(
                f"search.scheduler: {self.scheduler} has no workers; start some with "
                f"`dask worker {self.scheduler} --nthreads 1 --nworkers N`"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sent.clear()
        if self._client is not None:
            self._client.close()
            self._client = None

    def map(self, function: Callable[[T], R], tasks: Sequence[T], *, done: Done[R, T] | None = None) -> list[R]:
        """See `Workers.map`."""
        waiting = list(tasks)
        results: dict[int, R] = {}
        restarts = 0
        while len(results) < len(waiting):
            if self._run(function, waiting, results, done):
                continue
            restarts += 1
            self._sent.clear()  # what the lost workers held is sent again
            if restarts > MOST_RESTARTS:
                raise CuratorError(
                    f"workers of {self.scheduler} were lost {restarts} times, most likely for want of memory; finished "
                    "work is kept: give each worker more memory, and run the same command again"
                )
        return [results[i] for i in range(len(waiting))]

    def _run(self, function: Callable[[T], R], tasks: list[T], results: dict[int, R], done: Done[R, T] | None) -> bool:
        """Run the missing tasks, and those that are added; return False when workers were lost, with what they held."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError

        missing = longest_first(tasks, results)
        readers = Counter(folder for i in missing for folder in tasks[i].reads)
        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        futures: dict[Any, int] = {}

        def submit(i: int) -> None:
            folders = tasks[i].reads
            sent = [self._send(folder, to_all=readers[folder] > 1) for folder in folders]
            names = [folder.name for folder in folders]
            future = self._client.submit(
                _there, function, tasks[i], names, sent, decisive_versions(), pure=False, priority=-next(order)
            )
            futures[future] = i
            future.add_done_callback(finished.put)

        order = itertools.count()
        try:
            for i in missing:
                submit(i)
            while futures:
                future = self._next(finished)
                i = futures.pop(future)
                results[i], written = future.result()
                self._take_back(written, tasks[i])
                future.release()
                before = len(tasks)
                tasks += (done(i, results[i]) if done is not None else None) or ()
                for added in range(before, len(tasks)):
                    submit(added)
        except (KilledWorker, FutureCancelledError, CancelledError, CommClosedError):
            return False
        except (ImportError, RuntimeError) as error:
            # Dask wraps what the scheduler fails to import in a RuntimeError.
            if isinstance(error, RuntimeError) and "deserializ" not in str(error):
                raise
            raise UserError(
                f"search.scheduler: {self.scheduler} or a worker of it cannot read this work ({reason_of(error)}); "
                "install hybrid-curator on scheduler and workers too, the same version as here"
            ) from None
        return True

    def _take_back(self, written: Mapping[str, Packed], task: Task) -> None:
        lost = [f.name for f in task.writes if f not in task.reads and f.name not in written]
        if lost:
            raise CuratorError(
                f"a worker of {self.scheduler} did not send back what it should have written ({', '.join(lost)}); "
                "install the same code on all of them, and run the same command again"
            )
        _unpack(written, task.writes)

    def _next(self, finished: queue.SimpleQueue[Any]) -> Any:
        """Return the next future that is done; give up when there is no worker for a minute."""
        alone_since = None
        while True:
            with contextlib.suppress(queue.Empty):
                return finished.get(timeout=_LOOK_SECONDS)
            if self._client.scheduler_info(n_workers=-1)["workers"]:
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > _FIRST_WORKER_SECONDS:
                raise CuratorError(
                    f"no worker of {self.scheduler} is left; finished work is kept: start workers, and run the same "
                    "command again"
                )

    def _send(self, folder: Path, *, to_all: bool) -> Any:
        if folder not in self._sent:
            # In a list: Dask would take the names of a mapping for names of its own, shared by all folders.
            (self._sent[folder],) = self._client.scatter([_pack(folder)], broadcast=to_all, hash=False)
        return self._sent[folder]


def _there(
    function: Callable[[T], R],
    task: T,
    names: Sequence[str],
    sent: Sequence[Packed],
    versions: tuple[tuple[str, str], ...],
) -> tuple[R, dict[str, Packed]]:
    """Run one task in a worker process; return its result and the folders that it wrote."""
    from distributed import get_worker

    here = get_worker()
    _check_versions(versions, here.address)
    store = Path(here.local_directory) / "curator"
    with _TURN:
        _one_thread_from_here_on()
        for name, packed in zip(names, sent, strict=True):
            if not (store / name).is_dir():
                _unpack({name: packed}, [store / name])
        moved = task.moved(store)
        result = function(moved)
        own = [f for f in moved.writes if f.name not in names and f.is_dir()]
        written = {f.name: _pack(f) for f in own}
        for folder in own:
            shutil.rmtree(folder)  # it comes again if another task here reads it; a worker's disk is not for keeping
        return result, written


def _check_versions(expected: tuple[tuple[str, str], ...], address: str) -> None:
    here = dict(decisive_versions())
    odd = [
        f"{name} {here.get(name, 'missing')} where this machine has {asked}"
        for name, asked in expected
        if here.get(name) != asked
    ]
    if odd:
        raise UserError(
            f"search.scheduler: the worker {address} has {'; '.join(odd)}: results would differ. "
            "Install the same versions everywhere, e.g. from one constraints file"
        )


def _one_thread_from_here_on() -> None:
    """Limit this worker's thread to one numerical thread, for good; OpenMP counts for each thread by itself."""
    if getattr(_THREAD, "limited", False):
        return
    os.environ.update({**ONE_THREAD, "TQDM_DISABLE": "1"})
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401  # limits reach only those libraries that are loaded already
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    _THREAD.limited = True


def _pack(folder: Path) -> Packed:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix != _STAYS}


def _unpack(packed: Mapping[str, Packed], folders: Sequence[Path]) -> None:
    for folder in folders:
        if folder.name in packed and not folder.is_dir():
            with full_disk_explained(folder), atomic_folder(folder) as part:
                for name, content in packed[folder.name].items():
                    (part / name).write_bytes(content)
