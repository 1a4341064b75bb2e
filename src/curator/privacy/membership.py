"""Membership inference: telling rows that were learned from from rows that were not."""

from __future__ import annotations

import numpy as np

from curator.privacy.rows import ISOLATION, AttackedRows
from curator.table import NearestRows

DENSITY, DISTANCE = "density", "distance"


def density_scores(rows: AttackedRows) -> np.ndarray:
    """Return the logarithm of the synthetic rows' density over that of reference rows, but for constants; shape (n,).

    After DOMIAS (van Breugel et al., "Membership inference attacks against synthetic data through overfitting
    detection", AISTATS 2023). Densities are those of nearest neighbours (Loftsgaarden and Quesenberry, 1965): of
    synthetic rows by the nearest, since one row too near is what memorising looks like, of reference rows by the fifth,
    which is steadier. Both fall with the same power of a distance, so that the ratio of the two distances ranks alike.

    Reference rows are controls that are not judged by them: one half of the controls and one half of the members are
    judged by the other half of the controls, and the other way round.
    """
    rng = np.random.default_rng([rows.seed, 43])
    side = np.zeros(len(rows.member), dtype=bool)
    for own in (np.flatnonzero(rows.member), np.flatnonzero(~rows.member)):
        side[rng.permutation(own)[: len(own) // 2]] = True
    to_reference = np.empty(len(side))
    for half in (True, False):
        judged = side == half
        reference = rows.points[~rows.member & ~judged]
        found = NearestRows(reference, queries=int(judged.sum())).search(rows.points[judged], ISOLATION)[0]
        to_reference[judged] = found[:, -1]
    scores: np.ndarray = _log(to_reference, rows) - _log(rows.to_synthetic, rows)
    return scores


def distance_scores(rows: AttackedRows) -> np.ndarray:
    """Return how much nearer the nearest synthetic row is than the nearest other real row, as a logarithm; shape (n,).

    The simplest attack, and the one that finds copies best. An attacker knows few other real rows; knowing all of them
    makes it stronger, which is what an audit should be.
    """
    scores: np.ndarray = _log(rows.to_real[:, 0], rows) - _log(rows.to_synthetic, rows)
    return scores


def _log(distance: np.ndarray, rows: AttackedRows) -> np.ndarray:
    logs: np.ndarray = np.log(distance + rows.least_distance)
    return logs


ATTACKS = {DENSITY: density_scores, DISTANCE: distance_scores}
