"""Ctrl-C counts wherever it arrives."""

import signal
import sys
import time
import weakref

import pytest

from curator.cli.interrupts import interrupts_kept


class Anything:
    pass


@pytest.fixture(autouse=True)
def _interrupts_count():
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_within_a_callback():
    watched = Anything()
    reference = weakref.ref(watched, lambda _: signal.raise_signal(signal.SIGINT))
    del watched
    return reference


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


def interrupted():
    with interrupts_kept():
        interrupt_within_a_callback()
        wait(10)


def test_an_interrupt_within_a_weak_references_callback_is_raised_after_it():
    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_one_that_comes_as_the_command_ends_harms_nothing_after_it():
    late = False
    try:
        with interrupts_kept():
            interrupt_within_a_callback()
        wait(0.3)
    except KeyboardInterrupt:
        late = True
    assert not late


def test_other_exceptions_there_are_told_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with interrupts_kept():
        watched = Anything()
        reference = weakref.ref(watched, lambda _: 1 / 0)
        del watched
    assert reference() is None
    assert [one.exc_type for one in told] == [ZeroDivisionError]
    assert sys.unraisablehook == told.append
