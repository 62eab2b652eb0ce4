"""Slow work, live and in replay."""

import threading

import pytest

from volition.core.node import InlineJobs
from volition.engine.jobs import ThreadJobs, VirtualJobs


def fail():
    raise RuntimeError("it failed")


@pytest.fixture
def jobs():
    done = threading.Semaphore(0)
    jobs = ThreadJobs("test", done.release)
    jobs.done = done
    yield jobs
    jobs.close()


def test_threads_give_results_in_the_order_of_submission(jobs):
    first = threading.Event()
    jobs.submit(first.wait, (10,))
    jobs.submit(int, ("7",))
    assert jobs.collect(0) == 0 and jobs.take() == [] and jobs.pending == 2
    first.set()
    assert jobs.done.acquire(timeout=10) and jobs.done.acquire(timeout=10)
    assert jobs.collect(0) == 2
    assert jobs.take() == [True, 7] and jobs.pending == 0


def test_threads_raise_where_results_are_taken(jobs):
    jobs.submit(fail, ())
    assert jobs.done.acquire(timeout=10)
    assert jobs.collect(0) == 1
    with pytest.raises(RuntimeError, match="it failed"):
        jobs.take()


def test_a_closed_pool_forgets_what_has_not_begun():
    hold, called = threading.Event(), []
    jobs = ThreadJobs("test", lambda: None)
    jobs.submit(hold.wait, (10,))
    jobs.submit(called.append, (1,))
    jobs.close()
    hold.set()
    assert called == []


def test_virtual_work_is_back_after_its_delay():
    now = [100]
    jobs = VirtualJobs(lambda: now[0], 50)
    jobs.submit(int, ("3",))
    assert jobs.deadline == 150 and jobs.pending == 1
    assert jobs.collect(149) == 0 and jobs.take() == []
    now[0] = 120
    jobs.submit(int, ("4",))
    assert jobs.collect(150) == 1 and jobs.take() == [3] and jobs.deadline == 170
    assert jobs.collect(500) == 1 and jobs.take() == [4] and jobs.deadline is None
    jobs.close()


def test_virtual_work_fails_when_its_result_is_taken_not_before():
    jobs = VirtualJobs(lambda: 0, 10)
    jobs.submit(fail, ())
    assert jobs.collect(10) == 1
    with pytest.raises(RuntimeError, match="it failed"):
        jobs.take()


def test_inline_work_fails_when_its_result_is_taken_not_before():
    jobs = InlineJobs()
    jobs.submit(fail, ())
    assert jobs.pending == 1
    with pytest.raises(RuntimeError, match="it failed"):
        jobs.take()
    assert jobs.pending == 0
