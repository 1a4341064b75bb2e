"""Figures within slices: a threshold of all holdout rows is drawn anew with them."""

from types import SimpleNamespace

import numpy as np
import pytest

from curator.guard import FALSE_POSITIVES, _thresholds


def test_thresholds_let_so_many_others_through_and_vary_as_quantiles_do():
    rng = np.random.default_rng(0)
    n, setup = 2000, SimpleNamespace(groups=None, seed=0)
    chance, others = rng.random(n), np.arange(n) % 4 > 0
    found = _thresholds(setup, chance, np.ones(n), others)
    for share, limits in zip(FALSE_POSITIVES, found, strict=True):
        through = (chance[others] > limits[0]).mean()
        assert share - 1 / others.sum() <= through <= share
        # Of uniform scores the quantile's error is known.
        assert limits[1:].std() == pytest.approx(np.sqrt(share * (1 - share) / others.sum()), rel=0.25)


def test_without_other_rows_every_case_is_found():
    setup = SimpleNamespace(groups=None, seed=0)
    found = _thresholds(setup, np.array([0.2, 0.8]), np.ones(2), np.zeros(2, dtype=bool))
    assert all((limits == -np.inf).all() for limits in found)
