"""Novelty: whether a candidate is more than a copy of a real row."""

from __future__ import annotations

import numpy as np

from curator.score.context import ScoringContext


def novelty(context: ScoringContext) -> np.ndarray:
    """Return d / (d + e) for each candidate; shape (m,), in [0, 1].

    d is its distance to the nearest real row, e that row's distance to its own nearest real neighbour: 0 is a copy,
    0.5 as far away as real rows are from each other.
    """
    to_real, nearest, own = context.distances
    distance, reference = to_real[:, 0], own[nearest]
    total = distance + reference
    return np.where(distance == 0, 0.0, np.divide(distance, total, out=np.ones_like(total), where=total > 0))
