"""What folds say row by row: known variances, repetitions, groups, and how often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curator.evaluate import METRICS, CrossFit, Prediction, cross_fit, cross_fit_interval, nadeau_bengio

ONES = np.ones(200)
NO_STRATA = np.zeros(200, dtype=int)


def _fit(before, after, repeats=1, folds=5):
    n = before.shape[-1]
    losses = (part.reshape(repeats, n) for part in (before, after))
    return CrossFit(np.arange(n), *losses, folds * repeats, n * 4 // 5, n // 5)


def test_losses_are_put_where_the_folds_judged_them():
    y = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    far, near = (Prediction(None, np.array([v, v])) for v in (10.0, 3.0))
    judged = [(np.array([0, 1]), far, near), (np.array([3, 1]), far, near), (np.array([3, 4]), near, far)]
    found = cross_fit(METRICS["mae"], y, judged, 4, 2)
    assert found.rows.tolist() == [0, 1, 3, 4]
    np.testing.assert_array_equal(found.before, [[10, 9, 7, 1], [np.nan, 9, 0, np.nan]])
    np.testing.assert_array_equal(found.after, [[3, 2, 0, 6], [np.nan, 2, 7, np.nan]])
    assert [m.tolist() for m in found.means] == [[10, 9, 3.5, 1], [3, 2, 3.5, 6]]


def test_the_interval_is_that_of_nadeau_and_bengio_with_the_variance_of_rows():
    rng = np.random.default_rng(0)
    gains = rng.normal(0.1, 0.5, 200)
    found = cross_fit_interval(METRICS["mae"], _fit(1 + gains, np.ones(200)), ONES, NO_STRATA, None, 0)
    # Of five folds of 40 rows, each trained on 160.
    error = math.sqrt((1 / 5 + 40 / 160) * gains.var(ddof=1) / 40)
    assert found.mean == pytest.approx(gains.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.97 * error, rel=0.06)
    assert found.n == int(40 / (1 / 5 + 40 / 160))


def test_repetitions_narrow_it_by_what_the_correction_says_and_no_more():
    rng = np.random.default_rng(0)
    gains = rng.normal(0.1, 0.5, 200)
    four = np.stack([gains] * 4)
    once, again = (
        cross_fit_interval(METRICS["mae"], _fit(1 + g, np.ones_like(g), r), ONES, NO_STRATA, None, 0)
        for g, r in ((gains, 1), (four, 4))
    )
    expected = math.sqrt((1 / 20 + 0.25) / (1 / 5 + 0.25))
    assert (again.high - again.low) / (once.high - once.low) == pytest.approx(expected)
    noisy = four + rng.normal(0, 0.5, four.shape)
    wide = cross_fit_interval(METRICS["mae"], _fit(1 + noisy, np.ones_like(noisy), 4), ONES, NO_STRATA, None, 0)
    assert wide.high - wide.low > 1.2 * (again.high - again.low), "means over repetitions hide noise of training"


def test_roots_are_taken_of_means():
    rng = np.random.default_rng(1)
    before, after = rng.exponential(4.0, 200), rng.exponential(1.0, 200)
    found = cross_fit_interval(METRICS["rmse"], _fit(before, after), ONES, NO_STRATA, None, 0)
    assert found.mean == pytest.approx(math.sqrt(before.mean()) - math.sqrt(after.mean()))
    assert 0 < found.low < found.mean < found.high


def test_rows_of_a_group_say_one_thing():
    rng = np.random.default_rng(2)
    gains = np.repeat(rng.normal(0.1, 0.5, 20), 10)
    fit = _fit(1 + gains, np.ones(200))
    alone = cross_fit_interval(METRICS["mae"], fit, ONES, NO_STRATA, None, 0)
    grouped = cross_fit_interval(METRICS["mae"], fit, ONES, NO_STRATA, np.repeat(np.arange(20), 10), 0)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)
    assert (grouped.n, alone.n) == (20, 88)


def test_the_same_predictions_gain_nothing():
    loss = np.random.default_rng(3).exponential(1.0, 200)
    found = cross_fit_interval(METRICS["log_loss"], _fit(loss, loss), ONES, NO_STRATA, None, 0)
    assert found.low == found.mean == found.high == 0.0


def test_it_holds_the_truth_where_few_folds_differ_by_luck():
    """Gains that a few rows make: rows tell their spread, five fold means hardly do, and are wide for it."""
    rng = np.random.default_rng(4)
    misses, widths = 0, []
    for _ in range(150):
        gains = np.where(rng.random(200) < 0.03, 5.0, -0.02)
        found = cross_fit_interval(METRICS["mae"], _fit(1 + gains, np.ones(200)), ONES, NO_STRATA, None, 0)
        misses += found.low > 0.03 * 5.0 - 0.97 * 0.02
        folds = nadeau_bengio(gains.reshape(5, 40).mean(axis=1).tolist(), 160, 40)
        widths.append((found.mean - found.low) / (folds.mean - folds.low))
    assert misses <= 5
    assert np.median(widths) < 0.7
