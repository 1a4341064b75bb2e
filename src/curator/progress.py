"""How a long run tells where it stands. The library is silent; the command line shows bars or plain lines."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the events of a run."""

    def stage(self, name: str, total: int) -> None:
        """Start a stage of `total` steps."""

    def advance(self, steps: int = 1) -> None:
        """Tell that steps of the current stage are done."""

    def note(self, text: str) -> None:
        """Show what is known so far, e.g. the best difference of the search."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
