"""What a scorer sees: real training rows, candidates, and figures that several scorers share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curator.records import TaskType
from curator.table import DistanceRows, OrdinalRows

if TYPE_CHECKING:
    import pandas as pd

    from curator.score.teacher import Teacher

NEAREST = 5


@dataclass(frozen=True, eq=False)
class ScoringContext:
    """Candidates of all sources beside the real rows that they are judged by.

    Attributes
    ----------
    rows : DataFrame
        Plain features of the n real training rows.
    y : array of shape (n,)
    candidates : DataFrame
        Plain features of m candidates.
    labels : array of shape (m,)
        The synthesizers' labels.
    source : int array of shape (m,)
    teacher : Teacher
        Fitted on `rows` and `y`.
    prediction : array of shape (m, n_classes) or (m,)
        The teacher's prediction for each candidate.
    """

    rows: pd.DataFrame
    y: np.ndarray
    candidates: pd.DataFrame
    labels: np.ndarray
    source: np.ndarray
    categorical: tuple[str, ...]
    task: TaskType
    teacher: Teacher
    prediction: np.ndarray
    seed: int

    @cached_property
    def stratum(self) -> np.ndarray:
        """Number of the source and class that each candidate is ranked and counted in, shape (m,)."""
        classes = self.labels if self.task != "regression" else np.zeros(len(self.labels), dtype=np.int64)
        return self.source.astype(np.int64) * (int(classes.max(initial=0)) + 1) + classes

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
        from sklearn.neighbors import NearestNeighbors

        encoder = DistanceRows(self.categorical).fit(self.rows)
        real = encoder.transform(self.rows)
        index = NearestNeighbors(n_neighbors=min(NEAREST, len(real)), algorithm="brute").fit(real)
        own = index.kneighbors(n_neighbors=1)[0][:, 0] if len(real) > 1 else np.zeros(1)
        if len(self.candidates) == 0:
            return np.empty((0, 1)), np.empty(0, dtype=np.int64), own
        to_real, which = index.kneighbors(encoder.transform(self.candidates))
        # Squared distances are computed by expansion: equal rows come out as a rounding error, not as zero.
        to_real[to_real < 1e-3] = 0.0
        return to_real, which[:, 0], own


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
