"""Figures of distances: whether rows lie where real rows are, and reach everywhere that real rows reach."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 5


def neighbourhood(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Return density, coverage, alpha-precision and beta-recall.

    Parameters
    ----------
    real, made : float arrays of shape (n, d) and (m, d)

    Returns
    -------
    dict of str to float
        NaN where there are fewer than seven real rows, or no others.

    Notes
    -----
    Density and coverage (Naeem et al., ICML 2020), with balls that reach to the fifth nearest real row. Integrated
    alpha-precision and beta-recall (Alaa et al., ICML 2022): the alpha-support of the real rows is the ball around
    their mean that holds the share alpha of them; a real row is recalled at beta if its nearest row of the others is
    in their beta-support, and no farther than the nearest other real row. Recalling more than beta is no fault.
    """
    names = ("density", "coverage", "alpha_precision", "beta_recall")
    if len(real) < NEIGHBOURS + 2 or len(made) == 0 or real.shape[1] == 0:
        return dict.fromkeys(names, float("nan"))
    among, across = _distances(real, real), _distances(real, made)
    np.fill_diagonal(among, np.inf)
    near = np.partition(among, (0, NEIGHBOURS - 1), axis=1)
    radius, next_real = near[:, NEIGHBOURS - 1], near[:, 0]
    inside = across <= radius[:, None]
    return {
        "density": float(inside.sum() / (NEIGHBOURS * len(made))),
        "coverage": float(inside.any(axis=1).mean()),
        "alpha_precision": _alpha_precision(real, made),
        "beta_recall": _beta_recall(made, across, next_real),
    }


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances

    found: np.ndarray = pairwise_distances(one, other)
    # Computed by expansion: equal rows come out as a rounding error.
    return np.where(found < 1e-3, 0.0, found)


def _alpha_precision(real: np.ndarray, made: np.ndarray) -> float:
    centre = real.mean(axis=0)
    own, other = (np.sort(np.linalg.norm(p - centre, axis=1)) for p in (real, made))
    levels = np.linspace(0, 1, 51)[1:-1]
    within = np.searchsorted(other, np.quantile(own, levels), side="right") / len(made)
    return float(1 - np.abs(within - levels).sum() / levels.sum())


def _beta_recall(made: np.ndarray, across: np.ndarray, next_real: np.ndarray) -> float:
    out = np.linalg.norm(made - made.mean(axis=0), axis=1)
    levels = np.linspace(0, 1, 51)[1:-1]
    nearest = across.argmin(axis=1)
    close = across[np.arange(len(across)), nearest] <= next_real
    # The share of typical rows below which each real row's nearest lies.
    depth = np.searchsorted(np.sort(out), out[nearest], side="left") / len(made)
    recalled = np.array([(close & (depth <= level)).mean() for level in levels])
    return float(1 - (levels - recalled).clip(0).sum() / levels.sum())
