import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curator.errors import CuratorError, DataError
from curator.parallel import ONE_THREAD, LocalWorkers, available_cores, longest_first, one_thread


@dataclass(frozen=True)
class Job:
    """A task that is one value."""

    value: Any
    cost: float = 0.0
    reads = writes = ()

    def moved(self, store):
        return self


def jobs(values):
    return [Job(v) for v in values]


def square(job):
    return job.value * job.value


def slow_first(job):
    time.sleep(0.3 if job.value == 0 else 0)
    return job.value


def process(_):
    return os.getpid()


def threads(_):
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_info

    rng = np.random.default_rng(0)
    product = rng.normal(size=(300, 300)) @ rng.normal(size=(300, 300))
    return {library["num_threads"] for library in threadpool_info()}, product.tobytes()


def settings(_):
    return {name: os.environ.get(name) for name in ONE_THREAD}, signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def killed_once(task):
    marker, x = task.value
    if x == 2:
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return x * x
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def killed_always(_):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(job):
    if job.value == 1:
        raise DataError("column 'a' is odd")
    return job.value


class Stop(Exception):  # noqa: N818
    pass


def _leave():
    raise Stop


@pytest.fixture(params=[1, 2])
def workers(request):
    with LocalWorkers(request.param) as place:
        yield place


def test_results_come_in_the_order_of_the_tasks(workers):
    assert workers.map(slow_first, jobs(list(range(6)))) == list(range(6))


def test_no_tasks_no_results(workers):
    assert workers.map(square, jobs([])) == []


def test_it_can_be_used_again_and_again(workers):
    assert [workers.map(square, jobs([i, i + 1])) for i in range(3)] == [[0, 1], [1, 4], [4, 9]]


def test_each_result_is_told_once(workers):
    told = []
    results = workers.map(square, jobs(list(range(8))), done=lambda place, result: told.append((place, result)))
    assert sorted(told) == list(enumerate(results)) == [(i, i * i) for i in range(8)]


def test_a_result_may_ask_for_further_tasks(workers):
    """Each number asks for the next one up to 5: chains that go on at their own pace."""
    told = {}

    def go_on(place, result):
        told[place] = result
        value = round(result**0.5)
        return jobs([value + 1]) if value < 5 else None

    found = workers.map(square, jobs([4, 1]), done=go_on)
    assert found[:2] == [16, 1], "what was asked for first keeps its place"
    assert sorted(found[2:]) == [4, 9, 16, 25, 25]
    assert told == dict(enumerate(found))


def test_errors_of_tasks_reach_the_caller(workers):
    with pytest.raises(DataError, match="column 'a' is odd"):
        workers.map(refused, jobs(list(range(4))))


def test_after_an_error_of_a_task_the_workers_still_work(workers):
    with pytest.raises(DataError):
        workers.map(refused, jobs(list(range(4))))
    assert workers.map(square, jobs([1, 2])) == [1, 4]


def test_errors_of_the_listener_reach_the_caller(workers):
    def stop(*_):
        raise Stop

    with pytest.raises(Stop):
        workers.map(square, jobs([1, 2]), done=stop)


def test_one_job_is_this_process_and_two_are_others():
    with LocalWorkers(1) as here, LocalWorkers(2) as there:
        assert set(here.map(process, jobs([0, 1]))) == {os.getpid()}
        found = set(there.map(process, jobs(list(range(8)))))
        assert os.getpid() not in found
        assert 1 <= len(found) <= 2


def test_every_process_computes_with_one_thread_and_gets_the_same_bits():
    with LocalWorkers(1) as here, LocalWorkers(2) as there:
        (one,), (two,) = here.map(threads, jobs([0])), there.map(threads, jobs([0]))
    assert one[0] == two[0] == {1}
    assert one[1] == two[1]


def test_workers_are_told_so_and_leave_interrupts_to_the_parent():
    with LocalWorkers(2) as there:
        assert there.map(settings, jobs([0])) == [(ONE_THREAD, True)]


def test_one_thread_is_given_back():
    from threadpoolctl import threadpool_info

    before = [(library["filepath"], library["num_threads"]) for library in threadpool_info()]
    with one_thread():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
    after = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
    assert [(path, after[path]) for path, _ in before] == before


def test_a_killed_worker_is_replaced_and_its_tasks_run_again(tmp_path):
    told = []
    with LocalWorkers(2) as there:
        tasks = [(str(tmp_path / "killed"), x) for x in range(6)]
        found = there.map(killed_once, jobs(tasks), done=lambda place, result: told.append((place, result)))
        assert found == [0, 1, 4, 9, 16, 25]
        assert there.map(square, jobs([3])) == [9]
    assert (tmp_path / "killed").exists()
    assert sorted(told) == [(i, i * i) for i in range(6)]


def test_further_tasks_survive_a_killed_worker(tmp_path):
    mark = str(tmp_path / "killed")

    def go_on(_, result):
        return jobs([(mark, round(result**0.5) + 1)]) if result < 25 else ()

    with LocalWorkers(2) as there:
        assert sorted(there.map(killed_once, jobs([(mark, 1), (mark, 3)]), done=go_on)) == [1, 4, 9, 9, 16, 16, 25, 25]


def test_a_worker_killed_between_two_maps_is_replaced():
    with LocalWorkers(2) as there:
        (pid,) = there.map(process, jobs([0]))
        os.kill(pid, signal.SIGKILL)
        there._executor._executor_manager_thread.join(10)  # until the loss has been noticed
        assert there.map(square, jobs(list(range(6)))) == [0, 1, 4, 9, 16, 25]


def test_workers_that_are_always_killed_are_given_up():
    with LocalWorkers(2) as there, pytest.raises(CuratorError) as caught:
        there.map(killed_always, jobs([0, 1]))
    assert str(caught.value) == (
        "worker processes were killed 4 times, most likely for want of memory; finished work is kept: run the same "
        "command with --jobs 1, or with fewer rows"
    )
    assert caught.value.exit_code == 1


def test_leaving_with_an_error_leaves_no_process_behind():
    with pytest.raises(Stop), LocalWorkers(2) as there:  # noqa: PT012
        (pid,) = there.map(process, jobs([0]))
        _leave()
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def test_long_tasks_start_first():
    tasks = [Job("a", 1.0), Job("b", 5.0), Job("c", 1.0), Job("d", 9.0)]
    assert longest_first(tasks, {}) == [3, 1, 0, 2]
    assert longest_first(tasks, {3: None, 0: None}) == [1, 2]


def test_cores_are_counted_within_limits():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
