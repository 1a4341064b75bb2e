"""An estimate in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curator.estimate.stages import Estimate


def in_words(found: Estimate) -> list[str]:
    """Return the lines for a reader."""
    memory = "" if found.peak_bytes is None else f"; peak memory about {_size(found.peak_bytes)}"
    return [
        *(f"{stage:<15}{duration(seconds):>10}" for stage, seconds in found.seconds.items()),
        f"about {duration(found.total)} on {found.jobs} core{'s' if found.jobs > 1 else ''}{memory}",
        *(f"slow: {warning}" for warning in found.warnings),
        *(f"note: {note}" for note in found.notes),
    ]


def duration(seconds: float) -> str:
    """Return a length of time in words.

    Examples
    --------
    >>> [duration(s) for s in (0.2, 31, 250, 9000)]
    ['under 1 s', '31 s', '4 min', '2.5 h']
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
