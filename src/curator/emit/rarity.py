"""What is rare about a pool: which candidates are in which slice, which words are seldom. Found once, asked often."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.survival import Coverage, slice_shares
from curator.mix import Mixture
from curator.prepare import Setup
from curator.rare import Slice
from curator.score.candidates import load_candidates
from curator.score.pool import PoolTask

if TYPE_CHECKING:
    import pandas as pd


# A candidate that no dataset has held so far.
_UNKNOWN = -1


def candidates_of(source: PoolTask) -> pd.DataFrame:
    """Return the plain rows of all candidates of a pool, in its order."""
    import pandas as pd

    return pd.concat([load_candidates(part.folder).rows for part in source.parts], ignore_index=True)


class Rarity:
    """Tells what datasets make of the slices, and of rare categories and pairs.

    Parameters
    ----------
    source : PoolTask
        The pool whose candidates datasets are made of.
    rows : int array
        Which rows of the table the pool's real rows are.
    """

    def __init__(self, setup: Setup, source: PoolTask, rows: np.ndarray) -> None:
        self._setup, self._rows, self.source = setup, rows, source
        self._marks: dict[str, np.ndarray] = {}

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The plain rows of all candidates."""
        return candidates_of(self.source)

    @cached_property
    def _coverage(self) -> Coverage:
        table = self._setup.table
        return Coverage(table.plain.iloc[self._rows], self.candidates, table.categorical)

    def of(self, mixture: Mixture | None) -> dict[str, Any]:
        """Return what a dataset makes of slices, and of rare categories and pairs; without a mixture, of real rows."""
        table, slices = self._setup.table, self._setup.slices
        if mixture is None:
            plain, nothing = table.plain.iloc[self._rows], np.empty(0)
            unmarked = [np.zeros(0, dtype=bool)] * len(slices)
            return {
                "slices": slice_shares(slices, (self._rows, table.weight[self._rows]), (unmarked, nothing)),
                "coverage": Coverage(plain, plain.iloc[:0], table.categorical).of(np.arange(len(plain)), nothing),
            }
        real = self._rows[mixture.real], mixture.real_weight
        marks = [self._marked(s, mixture) for s in slices]
        return {
            "slices": slice_shares(slices, real, (marks, mixture.weight)),
            "coverage": self._coverage.of(mixture.real, mixture.candidate),
        }

    def _marked(self, of: Slice, mixture: Mixture) -> np.ndarray:
        if of.rule.reads_target:
            # The label is a plan's choice.
            return of.rule.marks(self.candidates.iloc[mixture.candidate], mixture.label)
        known = self._marks.setdefault(of.name, np.full(len(self.candidates), _UNKNOWN, dtype=np.int8))
        asked = np.unique(mixture.candidate)
        new = asked[known[asked] == _UNKNOWN]
        if len(new):
            no_label = np.zeros(len(new), dtype=self._setup.table.y.dtype)
            known[new] = of.rule.marks(self.candidates.iloc[new], no_label)
        found: np.ndarray = known[mixture.candidate] == 1
        return found
