"""Candidates within slices: between rows of one slice, an equal number from each, each with its slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from curator.synthesize.neighbours import Neighbours

if TYPE_CHECKING:
    import pandas as pd

# The column that says which slice a candidate was made for: its place among the names.
MADE_FOR = "__made_for__"


class WithinSlices:
    """Makes candidates as `Neighbours` does, each from two rows of the same slice.

    Parameters
    ----------
    names : sequence of str
        Of the slices.
    member : bool array of shape (n, n_slices)
        Which of the rows it is fitted to are in which slice.
    """

    def __init__(self, names: Sequence[str], member: np.ndarray) -> None:
        self._names, self._member = tuple(names), member
        self.notes: tuple[str, ...] = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        """See `Synthesizer.fit`; a slice with fewer than two rows gives no candidates."""
        self._columns = rows.iloc[:0].assign(**{MADE_FOR: np.empty(0, dtype=np.int64)})
        self._parts: dict[int, Neighbours] = {}
        short = []
        for place, (name, inside) in enumerate(zip(self._names, self._member.T, strict=True)):
            if inside.sum() < 2:
                short.append(name)
                continue
            own = Neighbours()
            own.fit(rows[inside].reset_index(drop=True), categorical=categorical, seed=seed)
            self._parts[place] = own
        if short:
            self.notes = (f"fewer than two rows of {', '.join(short)} here: no candidates from there",)

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """See `Synthesizer.sample`; the first few candidates come from each slice alike, as `MADE_FOR` says."""
        import pandas as pd

        if not self._parts or n <= 0:
            return self._columns
        each = -(-n // len(self._parts))
        parts = [
            part.sample(each, seed=seed + k).assign(**{MADE_FOR: place})
            for k, (place, part) in enumerate(self._parts.items())
        ]
        made = pd.concat(parts, ignore_index=True)
        # One of each slice, then the next of each: whatever number is taken, slices have equal parts of it.
        turn = np.argsort(np.tile(np.arange(each), len(self._parts)), kind="stable")
        return made.iloc[turn[:n]].reset_index(drop=True)
