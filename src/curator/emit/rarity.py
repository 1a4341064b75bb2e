"""What is rare about a pool: which candidates are in which slice, which words are seldom. Found once, asked often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.survival import Coverage, slice_shares, tail_mass, tails
from curator.mix import Mixture
from curator.rare import Slice
from curator.records import EarlierVerdict
from curator.score.build import PoolTask
from curator.score.candidates import load_candidates
from curator.setup import Setup
from curator.table import Table, earlier_plain

if TYPE_CHECKING:
    import pandas as pd


# A candidate that no dataset has held so far.
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Further:
    """Rows that stand in a dataset beside a mixture's: those of earlier outputs.

    Attributes
    ----------
    rows : DataFrame
        Plain features; a candidate stands there once for each class it is written in.
    labels, weight : arrays
    candidates : float
        How many they count for.
    """

    rows: pd.DataFrame
    labels: np.ndarray
    weight: np.ndarray
    candidates: float


def further_rows(table: Table, verdict: EarlierVerdict | None, share: float = 1.0) -> Further | None:
    """Return the rows of earlier outputs that stay; None where none does.

    Parameters
    ----------
    share : float
        Of the table that they stand beside: they count, and weigh, for so much.
    """
    if verdict is None or table.earlier is None or not verdict.kept:
        return None
    chosen = table.earlier.rows_of(np.array([not r for r in verdict.reasons]))
    rows, labels, _ = earlier_plain(table)
    return Further(rows.iloc[chosen], labels[chosen], verdict.weight[chosen] * share, verdict.kept * share)


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

    def of(self, mixture: Mixture | None, further: Further | None = None) -> dict[str, Any]:
        """Return what a dataset makes of slices, of rare categories and pairs, and of numbers far out.

        Parameters
        ----------
        mixture : Mixture, optional
            Without it, the dataset is the real rows.
        further : Further, optional
            Rows that stand there as well.
        """
        table, slices = self._setup.table, self._setup.slices
        if mixture is None:
            place, chosen, weight = np.arange(len(self._rows)), np.empty(0, dtype=np.int64), np.empty(0)
            real = self._rows, table.weight[self._rows]
            marks = [np.zeros(0, dtype=bool)] * len(slices)
        else:
            place, chosen, weight = mixture.real, mixture.candidate, mixture.weight
            real = self._rows[mixture.real], mixture.real_weight
            marks = [self._marked(s, mixture) for s in slices]
        if further is not None:
            more = [s.rule.marks(further.rows, further.labels) for s in slices]
            marks = [np.concatenate(both) for both in zip(marks, more, strict=True)]
            weight = np.concatenate([weight, further.weight])
        covered = self._covered(place, chosen, further)
        mass = self._tail_mass(place, chosen, (real[1], weight), further)
        return {"slices": slice_shares(slices, real, (marks, weight)), "coverage": covered, "tail_mass": mass}

    def _tail_mass(
        self, place: np.ndarray, chosen: np.ndarray, weights: tuple[np.ndarray, np.ndarray], further: Further | None
    ) -> float | None:
        """Return the weight of numbers far out, over that of the real rows; None where there are no numbers."""
        table, pairs = self._setup.table, list[tuple[float, float]]()
        plain, own = table.plain.iloc[self._rows], table.weight[self._rows]
        weight = np.concatenate(weights)
        for name in (c.name for c in table.features if c.name not in table.categorical):
            real = plain[name].to_numpy(float)
            parts = [real[place]]
            if len(chosen):
                parts.append(self.candidates[name].to_numpy(float)[chosen])
            if further is not None:
                parts.append(further.rows[name].to_numpy(float))
            pairs += tails(real, np.concatenate(parts), own, weight)
        mass = tail_mass(pairs)
        return mass if pairs else None

    def _covered(self, place: np.ndarray, chosen: np.ndarray, further: Further | None) -> dict[str, Any]:
        import pandas as pd

        if further is None and len(chosen):
            return self._coverage.of(place, chosen)
        table = self._setup.table
        plain = table.plain.iloc[self._rows]
        made = self.candidates.iloc[chosen] if len(chosen) else plain.iloc[:0]
        if further is not None:
            made = pd.concat([made, further.rows], ignore_index=True)
        return Coverage(plain, made, table.categorical).of(place, np.arange(len(made)))

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
