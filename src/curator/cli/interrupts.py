"""Ctrl-C that arrives where Python cannot raise it."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.05


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that was raised within a finalizer or a weak reference's callback.

    Python prints such an exception and goes on ("Exception ignored in ..."): the user has pressed Ctrl-C, and the
    command would run to its end all the same. The callback has to return first, hence the small delay.
    """
    usual = sys.unraisablehook
    timers: list[threading.Timer] = []

    def hook(unraisable: UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            timer = threading.Timer(AGAIN_S, _thread.interrupt_main)
            timer.daemon = True
            timer.start()
            timers.append(timer)
        else:
            usual(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = usual
        for timer in timers:
            timer.cancel()
