"""A real Dask scheduler with real worker processes: the same bytes, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from curator import cluster
from curator.cluster import DaskWorkers
from curator.curate import curate
from curator.errors import CuratorError, DataError, UserError

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


class Cluster:
    """A scheduler and its workers, each a process of its own; workers share nothing but the network."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, f"tcp://127.0.0.1:{free_port()}"
        # Workers import what the tests define.
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        port = self.address.rsplit(":", 1)[1]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        self.workers: list[subprocess.Popen] = []

    def _start(self, *command: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command], env=self.environment, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def add_worker(self, threads: int = 1) -> subprocess.Popen:
        worker = self._start("worker", self.address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard",
                             "--local-directory", str(self.folder / f"worker{len(self.workers)}"))  # fmt: skip
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def cluster_of(folder: Path, *threads: int):
    folder.mkdir(parents=True, exist_ok=True)
    found = Cluster(folder)
    try:
        for n in threads:
            found.add_worker(n)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with cluster_of(tmp_path_factory.mktemp("two"), 1, 1) as found:
        yield found


@dataclass(frozen=True)
class Job:
    """A task that reads a folder, if any, and writes one."""

    value: int
    folder: Path
    reads: tuple = ()
    cost: float = 0.0

    @property
    def writes(self):
        return (self.folder,)

    def moved(self, store):
        return Job(self.value, store / self.folder.name, tuple(store / f.name for f in self.reads))


def square(job):
    read = sum(int((f / "value").read_text()) for f in job.reads)
    job.folder.mkdir(parents=True)
    (job.folder / "value").write_text(str(job.value**2 + read))
    return job.value**2 + read


def slow(job):
    time.sleep(0.4)
    return square(job)


def refused(job):
    if job.value == 1:
        raise DataError("column 'a' is odd")
    return square(job)


def fatal(job):
    os.kill(os.getpid(), signal.SIGKILL)


def threads(job):
    square(job)
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_info

    return {library["num_threads"] for library in threadpool_info()}


def test_folders_travel_there_and_back(two, tmp_path):
    given = tmp_path / "given-1"
    given.mkdir()
    (given / "value").write_text("100")
    told = []
    with DaskWorkers(two.address) as workers:
        assert workers.slots >= 1
        tasks = [Job(i, tmp_path / f"made-{i}", (given,)) for i in range(6)]
        found = workers.map(square, tasks, done=lambda place, result: told.append((place, result)))
    assert found == [100 + i * i for i in range(6)]
    assert sorted(told) == list(enumerate(found))
    assert [(tmp_path / f"made-{i}" / "value").read_text() for i in range(6)] == [str(v) for v in found]


def test_a_result_may_ask_for_further_tasks(two, tmp_path):
    given = tmp_path / "given-more"
    given.mkdir()
    (given / "value").write_text("0")

    def go_on(place, result):
        value = round(result**0.5)
        return [Job(value + 1, tmp_path / f"more-{place}-{value + 1}", (given,))] if value < 4 else []

    with DaskWorkers(two.address) as workers:
        found = workers.map(square, [Job(i, tmp_path / f"first-{i}", (given,)) for i in (3, 1)], done=go_on)
    assert found[:2] == [9, 1]
    assert sorted(found[2:]) == [4, 9, 16, 16]


def test_folders_with_files_of_one_name_are_kept_apart(two, tmp_path):
    given = [tmp_path / f"apart-{i}" for i in range(4)]
    for i, folder in enumerate(given):
        folder.mkdir()
        (folder / "value").write_text(str(1000 * i))
    tasks = [Job(1, tmp_path / f"kept-{i}", (folder,)) for i, folder in enumerate(given)]
    both = Job(1, tmp_path / "kept-both", (given[1], given[3]))
    with DaskWorkers(two.address) as workers:
        assert workers.map(square, [*tasks, both]) == [1, 1001, 2001, 3001, 4001]


def test_what_a_folder_holds_is_sent_once(two, tmp_path, monkeypatch):
    packed = []
    original = cluster._pack
    monkeypatch.setattr(cluster, "_pack", lambda folder: packed.append(folder.name) or original(folder))
    given = tmp_path / "given-2"
    given.mkdir()
    (given / "value").write_text("1")
    with DaskWorkers(two.address) as workers:
        for start in (0, 4):
            workers.map(square, [Job(i, tmp_path / f"again-{i}", (given,)) for i in range(start, start + 4)])
    assert packed == ["given-2"]


def silent(job):
    return job.value


def test_what_a_worker_does_not_send_back_is_told(two, tmp_path):
    with DaskWorkers(two.address) as workers, pytest.raises(CuratorError, match=r"did not send back .*silent-0"):
        workers.map(silent, [Job(0, tmp_path / "silent-0")])


def test_workers_keep_what_they_read_and_nothing_else(tmp_path):
    given = tmp_path / "given-5"
    given.mkdir()
    (given / "value").write_text("2")
    with cluster_of(tmp_path / "cluster", 1) as found, DaskWorkers(found.address) as workers:
        workers.map(square, [Job(i, tmp_path / f"gone-{i}", (given,)) for i in range(3)])
        stores = list((tmp_path / "cluster").rglob("curator"))
        assert [p.name for store in stores for p in store.iterdir()] == ["given-5"]


def test_workers_compute_with_one_thread(two, tmp_path):
    with DaskWorkers(two.address) as workers:
        assert workers.map(threads, [Job(0, tmp_path / "none")]) == [{1}]


def test_errors_of_tasks_reach_the_caller(two, tmp_path):
    with DaskWorkers(two.address) as workers:
        with pytest.raises(DataError, match="column 'a' is odd"):
            workers.map(refused, [Job(i, tmp_path / f"refused-{i}") for i in range(3)])
        assert workers.map(square, [Job(3, tmp_path / "after")]) == [9]


def test_a_worker_that_dies_is_not_missed(tmp_path):
    given = tmp_path / "given-3"
    given.mkdir()
    (given / "value").write_text("0")
    with cluster_of(tmp_path / "cluster", 1, 1) as found, DaskWorkers(found.address) as workers:
        workers._client.wait_for_workers(2, timeout=30)
        victim = threading.Timer(1.0, found.workers[0].kill)
        victim.start()
        results = workers.map(slow, [Job(i, tmp_path / f"slow-{i}", (given,)) for i in range(12)])
        victim.join()
        assert found.workers[0].wait(10) != 0
        assert workers.slots == 1
    assert results == [i * i for i in range(12)]


def test_when_all_workers_die_their_data_is_sent_to_new_ones(tmp_path):
    given = tmp_path / "given-4"
    given.mkdir()
    (given / "value").write_text("7")
    with cluster_of(tmp_path / "cluster", 1) as found, DaskWorkers(found.address) as workers:
        assert workers.map(square, [Job(i, tmp_path / f"one-{i}", (given,)) for i in range(2)]) == [7, 8]
        found.workers[0].kill()
        found.workers[0].wait()
        found.add_worker()
        assert workers.map(square, [Job(i, tmp_path / f"two-{i}", (given,)) for i in range(2)]) == [7, 8]


def test_a_task_that_kills_its_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_FIRST_WORKER_SECONDS", 2)
    with cluster_of(tmp_path / "cluster", 1) as found, DaskWorkers(found.address) as workers:
        with pytest.raises(CuratorError, match=r"no worker of .* is left|were lost") as caught:
            workers.map(fatal, [Job(0, tmp_path / "never")])
        assert caught.value.exit_code == 1
        assert "the same command" in str(caught.value)


def test_no_scheduler_no_workers_other_versions(two, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 .*`dask scheduler`"):
        DaskWorkers("tcp://127.0.0.1:9").__enter__()
    with pytest.raises(UserError, match="no Dask scheduler answers at nonsense://x"):
        DaskWorkers("nonsense://x").__enter__()
    monkeypatch.setattr(cluster, "_FIRST_WORKER_SECONDS", 1)
    with cluster_of(tmp_path / "empty") as found:
        time.sleep(2)
        monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 15)
        with pytest.raises(UserError, match="has no workers; start some with `dask worker"):
            DaskWorkers(found.address).__enter__()
    monkeypatch.setattr(cluster, "decisive_versions", lambda: (("numpy", "0.1"),))
    with DaskWorkers(two.address) as workers, pytest.raises(UserError, match=r"numpy .* where this machine has 0.1"):
        workers.map(square, [Job(1, tmp_path / "versions")])


RECIPE = {
    "name": "penguins",
    "data": {"source": str(ROOT / "data_samples" / "penguins.csv"), "target": "species"},
    "task": {"folds": 2, "repeats": 1},
    "synthesizers": ["neighbours", "gaussian_copula"],
    "search": {"trials": 8},
    "output": {"policy": "always", "explain": False},
}


def test_a_run_is_byte_identical_on_a_cluster_one_of_whose_workers_is_killed(tmp_path):
    here = curate(RECIPE, jobs=1, out=tmp_path / "here" / "run")
    with cluster_of(tmp_path / "cluster", 1, 1) as found:
        killer = threading.Timer(12.0, found.workers[1].kill)
        killer.start()
        there = curate(RECIPE, scheduler=found.address, out=tmp_path / "there" / "run")
        killer.cancel()
        assert found.workers[1].poll() is not None, "the run ended before a worker was killed"
    for name in ("curated.parquet", "ledger.parquet"):
        assert (here.path / name).read_bytes() == (there.path / name).read_bytes()
    columns = [c for c in here.trials.columns if c != "seconds"]
    pd.testing.assert_frame_equal(here.trials[columns], there.trials[columns])
