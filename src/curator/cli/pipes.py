"""Where commands print, with or without a reader at the other end."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# What tables of runs are given where nothing says how wide a line may be: names of runs are copied from them.
_WIDE = 200


def hush(stream: IO[str]) -> None:
    """Write to nowhere from now on: the reader has gone (`| head`), and Python would complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def make_console(*, error: bool = False, wide: bool = False) -> Console:
    """Return where to print; `wide` tables are not squeezed where no terminal sets a width.

    It goes on without a reader, so that a command ends with the exit code that it would have had with one.
    """
    from rich.console import Console

    class Unread(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            hush(self.file)

    console = Unread(stderr=error, highlight=False)
    if wide and not console.is_terminal:
        console.width = max(console.width, _WIDE)
    return console
