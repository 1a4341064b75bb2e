"""Coordinates for attacks: a few values that are far off everything must not hide how near the others are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.table import DistanceRows

if TYPE_CHECKING:
    import pandas as pd

# Shares of values to either side, and over how many standard deviations what is between them spreads if it is normal.
_SPREADS = ((0.25, 1.349), (0.05, 3.290), (0.01, 4.653))
# So many of these from the median, and beyond, distances go by the logarithm.
_FAR = 10.0


class AttackPoints(DistanceRows):
    """`DistanceRows` in which no outlier and no sentinel sets the scale of a number.

    Numbers are scaled by the distance between their quartiles; where these are equal, between quantiles farther out,
    and in the end by their standard deviation. What is beyond ten of these is drawn in.
    """

    def fit(self, rows: pd.DataFrame) -> AttackPoints:
        """Learn medians, scales and categories."""
        super().fit(rows)
        values = rows[self._numbers].to_numpy(float)
        for place in range(values.shape[1]):
            known = values[:, place][np.isfinite(values[:, place])]
            if len(known):
                self._mean[place], self._scale[place] = np.median(known), robust_scale(known)
        return self

    def _standard(self, values: np.ndarray) -> np.ndarray:
        numbers = super()._standard(values)
        far = np.abs(numbers)
        with np.errstate(invalid="ignore", divide="ignore"):
            near = np.where(far <= _FAR, numbers, np.sign(numbers) * _FAR * (1 + np.log(far / _FAR)))
        drawn: np.ndarray = near
        return drawn


def robust_scale(known: np.ndarray) -> float:
    """Return what the standard deviation of numbers would be, were they as normal as most of them are; 1 at none.

    Parameters
    ----------
    known : array of shape (n,)
        Finite, at least one.
    """
    for share, width in _SPREADS:
        low, high = np.quantile(known, [share, 1 - share])
        if high > low:
            return float(high - low) / width
    spread = float(known.std())
    return spread if spread > 0 else 1.0
