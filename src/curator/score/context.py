"""What a scorer sees: real training rows, candidates, and figures that several scorers share."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curator.records import TaskType
from curator.table import CHUNK, DistanceRows, NearestRows, OrdinalRows

if TYPE_CHECKING:
    import pandas as pd

    from curator.score.teacher import Teacher

NEAREST = 5


@dataclass(frozen=True, eq=False)
class ScoringContext:
    """Candidates of one source beside the real rows that they are judged by.

    Attributes
    ----------
    rows : DataFrame
        Plain features of the n real training rows.
    y : array of shape (n,)
    candidates : DataFrame
        Plain features of m candidates.
    labels : array of shape (m,)
        The synthesizers' labels.
    teacher : Teacher
        Fitted on `rows` and `y`.
    prediction : array of shape (m, n_classes) or (m,)
        The teacher's prediction for each candidate.
    space : RealSpace
        The real rows as points.
    memory : dict
        What one scorer has found and another may use.
    made_for : int array of shape (m,), optional
        Which slice each candidate was made for, where the source makes them within slices.
    """

    rows: pd.DataFrame
    y: np.ndarray
    candidates: pd.DataFrame
    labels: np.ndarray
    categorical: tuple[str, ...]
    task: TaskType
    teacher: Teacher
    prediction: np.ndarray
    seed: int
    space: RealSpace
    memory: dict[str, np.ndarray] = field(default_factory=dict)
    made_for: np.ndarray | None = None

    @cached_property
    def stratum(self) -> np.ndarray:
        """The class that each candidate is ranked in, and the slice where it was made for one, shape (m,)."""
        own = self.labels if self.task != "regression" else np.zeros(len(self.labels), dtype=np.int64)
        if self.made_for is None:
            return own
        together: np.ndarray = own * (self.made_for.max(initial=0) + 1) + self.made_for
        return together

    @cached_property
    def ordinal(self) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Real rows and candidates as `OrdinalRows`, and which columns are codes."""
        encoder = OrdinalRows(self.categorical).fit(self.rows)
        return encoder.transform(self.rows), encoder.transform(self.candidates), encoder.categorical

    @cached_property
    def distances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances by `DistanceRows`.

        Returns
        -------
        to_real : array of shape (m, k)
            From each candidate to its nearest real rows, ascending; k = min(5, n).
        nearest : int array of shape (m,)
            Which real row is nearest.
        own : array of shape (n,)
            From each real row to its nearest other real row.
        """
        to_real = np.empty((len(self.candidates), min(NEAREST, len(self.rows))), dtype=np.float32)
        nearest = np.empty(len(self.candidates), dtype=np.int64)
        for start in range(0, len(self.candidates), CHUNK):
            part = self.space.encoder.transform(self.candidates.iloc[start : start + CHUNK])
            to_real[start : start + CHUNK], which = self.space.index.search(part, NEAREST)
            nearest[start : start + CHUNK] = which[:, 0]
        return to_real, nearest, self.space.own


class RealSpace:
    """The real rows as points, and their distances to each other: the same for all sources, and for all batches.

    Parameters
    ----------
    rows : DataFrame
        Plain features of the n real training rows.
    queries : int
        About how many candidates will be looked up.
    """

    def __init__(self, rows: pd.DataFrame, categorical: tuple[str, ...], queries: int) -> None:
        self._rows, self._categorical, self._queries = rows, categorical, queries

    @cached_property
    def encoder(self) -> DistanceRows:
        """What turns rows into points."""
        return DistanceRows(self._categorical).fit(self._rows)

    @cached_property
    def index(self) -> NearestRows:
        """What finds the nearest real rows."""
        return NearestRows(self.encoder.transform(self._rows), queries=self._queries)

    def apart(self) -> RealSpace:
        """Return the same points for another source: what is measured for one says nothing of another."""
        _ = self.own  # measured once, before there are any candidates
        twin = copy.copy(self)
        twin.__dict__["index"] = self.index.apart()
        return twin

    @cached_property
    def own(self) -> np.ndarray:
        """Distance from each real row to its nearest other one, shape (n,)."""
        distance: np.ndarray = self.index.own()[0][:, 0]
        return distance


def rank_within(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return ranks within each stratum, scaled to (0, 1]; ties share their mean rank.

    Dropping what is below q then drops the lowest share q of every source and class alike. One global threshold would
    take rare classes first.

    Examples
    --------
    >>> rank_within(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 0, 0, 1])).round(2).tolist()
    [1.0, 0.33, 0.67, 1.0]
    """
    from scipy.stats import rankdata

    out = np.empty(len(values))
    for number in np.unique(stratum):
        own = stratum == number
        out[own] = rankdata(values[own]) / own.sum()
    return out
