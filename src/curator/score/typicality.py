"""Typicality: whether a candidate lies where real rows are dense."""

from __future__ import annotations

import numpy as np

from curator.score.context import ScoringContext, rank_within


def typicality(context: ScoringContext) -> np.ndarray:
    """Return the rank within source and class of the nearness to five real rows; shape (m,), in (0, 1]."""
    to_real, _, _ = context.distances
    return rank_within(-to_real.mean(axis=1), context.stratum)
