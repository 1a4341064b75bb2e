import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from curator.errors import CuratorError, DataError
from curator.parallel import ONE_THREAD, Workers, available_cores, one_thread


def square(x):
    return x * x


def slow_first(x):
    time.sleep(0.3 if x == 0 else 0)
    return x


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
    marker, x = task
    if x == 2:
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return x * x
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def killed_always(_):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(x):
    if x == 1:
        raise DataError("column 'a' is odd")
    return x


class Stop(Exception):  # noqa: N818
    pass


def _leave():
    raise Stop


@pytest.fixture(params=[1, 2])
def workers(request):
    with Workers(request.param) as place:
        yield place


def test_results_come_in_the_order_of_the_tasks(workers):
    assert workers.map(slow_first, list(range(6))) == list(range(6))


def test_no_tasks_no_results(workers):
    assert workers.map(square, []) == []


def test_it_can_be_used_again_and_again(workers):
    assert [workers.map(square, [i, i + 1]) for i in range(3)] == [[0, 1], [1, 4], [4, 9]]


def test_each_result_is_told_once(workers):
    told = []
    results = workers.map(square, list(range(8)), done=told.append)
    assert sorted(told) == sorted(results) == [i * i for i in range(8)]


def test_errors_of_tasks_reach_the_caller(workers):
    with pytest.raises(DataError, match="column 'a' is odd"):
        workers.map(refused, list(range(4)))


def test_after_an_error_of_a_task_the_workers_still_work(workers):
    with pytest.raises(DataError):
        workers.map(refused, list(range(4)))
    assert workers.map(square, [1, 2]) == [1, 4]


def test_errors_of_the_listener_reach_the_caller(workers):
    def stop(_):
        raise Stop

    with pytest.raises(Stop):
        workers.map(square, [1, 2], done=stop)


def test_one_job_is_this_process_and_two_are_others():
    with Workers(1) as here, Workers(2) as there:
        assert set(here.map(process, [0, 1])) == {os.getpid()}
        found = set(there.map(process, list(range(8))))
        assert os.getpid() not in found
        assert 1 <= len(found) <= 2


def test_every_process_computes_with_one_thread_and_gets_the_same_bits():
    with Workers(1) as here, Workers(2) as there:
        (one,), (two,) = here.map(threads, [0]), there.map(threads, [0])
    assert one[0] == two[0] == {1}
    assert one[1] == two[1]


def test_workers_are_told_so_and_leave_interrupts_to_the_parent():
    with Workers(2) as there:
        assert there.map(settings, [0]) == [(ONE_THREAD, True)]


def test_one_thread_is_given_back():
    from threadpoolctl import threadpool_info

    before = [(library["filepath"], library["num_threads"]) for library in threadpool_info()]
    with one_thread():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
    after = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
    assert [(path, after[path]) for path, _ in before] == before


def test_a_killed_worker_is_replaced_and_its_tasks_run_again(tmp_path):
    told = []
    with Workers(2) as there:
        tasks = [(str(tmp_path / "killed"), x) for x in range(6)]
        assert there.map(killed_once, tasks, done=told.append) == [0, 1, 4, 9, 16, 25]
        assert there.map(square, [3]) == [9]
    assert (tmp_path / "killed").exists()
    assert sorted(told) == [0, 1, 4, 9, 16, 25]


def test_a_worker_killed_between_two_maps_is_replaced():
    with Workers(2) as there:
        (pid,) = there.map(process, [0])
        os.kill(pid, signal.SIGKILL)
        there._executor._executor_manager_thread.join(10)  # until the loss has been noticed
        assert there.map(square, list(range(6))) == [0, 1, 4, 9, 16, 25]


def test_workers_that_are_always_killed_are_given_up():
    with Workers(2) as there, pytest.raises(CuratorError) as caught:
        there.map(killed_always, [0, 1])
    assert str(caught.value) == (
        "worker processes were killed 4 times, most likely for want of memory; finished work is kept: run the same "
        "command with --jobs 1, or with fewer rows"
    )
    assert caught.value.exit_code == 1


def test_leaving_with_an_error_leaves_no_process_behind():
    with pytest.raises(Stop), Workers(2) as there:  # noqa: PT012
        (pid,) = there.map(process, [0])
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


def test_cores_are_counted_within_limits():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
