"""Progress on the terminal: a live display, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_EVERY = 10.0


class LiveProgress:
    """Stage, steps done, what is known so far, and the time left, on one line that updates itself."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Left(compact=True),
            TextColumn("{task.fields[known]}"),
            console=console,
            transient=False,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int) -> None:
        """Start a new line."""
        self._task = self._progress.add_task(name, total=total, known="")

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Show beside the bar."""
        self._progress.update(self._task, known=text)


class PlainProgress:
    """One line when a stage starts, and at most every ten seconds while it goes on."""

    def __init__(self) -> None:
        self._name, self._total, self._done, self._known = "", 0, 0, ""
        self._started = self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def stage(self, name: str, total: int) -> None:
        """Print the stage."""
        self._name, self._total, self._done, self._known = name, total, 0, ""
        self._started = self._last = time.monotonic()
        self._say(f"{name}: {total} to do")

    def advance(self, steps: int = 1) -> None:
        """Print now and then."""
        self._done += steps
        now = time.monotonic()
        if self._done >= self._total or now - self._last > _PLAIN_EVERY:
            self._last = now
            known = f", {self._known}" if self._known else ""
            self._say(f"{self._name}: {self._done}/{self._total}, {now - self._started:.0f} s{known}")

    def note(self, text: str) -> None:
        """Keep for the next line."""
        self._known = text

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # this is the terminal
