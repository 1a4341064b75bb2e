"""Estimates are right where the truth is known, and floors are above it as rarely as they say."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from curator.privacy.intervals import auc_estimate, excess_estimate, rate_above, risk_estimate


def test_auc_is_that_of_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    members, controls = rng.integers(0, 6, 80), rng.integers(0, 5, 50)
    truth = roc_auc_score(np.r_[np.ones(80), np.zeros(50)], np.r_[members, controls])
    assert auc_estimate(members, controls, 0.05).value == pytest.approx(truth)


def test_auc_of_what_cannot_be_told_apart_and_of_what_is_apart():
    same = auc_estimate(np.ones(30), np.ones(40), 0.05)
    assert (same.value, same.low, same.high, same.floor) == (0.5, 0.5, 0.5, 0.5)
    apart = auc_estimate(np.arange(30) + 100.0, np.arange(40.0), 0.05)
    assert (apart.value, apart.floor) == (1.0, 1.0)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_the_ends_of_the_auc_are_wrong_in_about_five_per_cent(shift):
    truth = norm.cdf(shift / np.sqrt(2))
    rng = np.random.default_rng(1)
    found = [auc_estimate(rng.normal(shift, 1, 90), rng.normal(0, 1, 40), 0.01) for _ in range(600)]
    assert np.mean([e.low > truth for e in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([e.high < truth for e in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([e.floor > truth for e in found]) < 0.03


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("rows", [60, 400])
def test_the_ends_of_the_rate_at_few_false_positives_are_seldom_wrong(shift, rows):
    rng = np.random.default_rng(2)
    found = [rate_above(rng.normal(shift, 1, 3 * rows), rng.normal(0, 1, rows), 0.01, 0.005) for _ in range(400)]
    used = max(0.01, 1 / rows)
    truth = 1 - norm.cdf(norm.ppf(1 - used) - shift)
    assert {rate for _, rate in found} == {used}
    assert np.mean([e.low > truth for e, _ in found]) <= 0.06
    assert np.mean([e.high < truth for e, _ in found]) <= 0.06
    assert np.mean([e.floor > truth for e, _ in found]) <= 0.02
    if rows == 400:
        assert np.mean([e.value for e, _ in found]) == pytest.approx(truth, abs=0.03)


def test_the_rate_counts_members_above_what_the_allowed_controls_leave():
    controls = np.arange(200.0)  # two of them, 198 and 199, may be above
    members = np.r_[np.full(30, 197.5), np.full(70, 5.0)]
    estimate, rate = rate_above(members, controls, 0.01, 0.01)
    assert (estimate.value, rate) == (0.3, 0.01)
    assert estimate.low <= 0.3 <= estimate.high


def test_equal_scores_are_put_in_order_by_lot():
    """Where nothing tells anybody apart, one per cent is found, and is shown to be about that."""
    found = [rate_above(np.full(2000, 7.0), np.full(2000, 7.0), 0.01, 0.01, seed)[0] for seed in range(20)]
    assert np.mean([e.value for e in found]) == pytest.approx(0.01, abs=0.003)
    assert max(e.high for e in found) < 0.05
    assert np.mean([e.floor > 0.01 for e in found]) <= 0.05
    few = [rate_above(np.full(100, 7.0), np.full(100, 7.0), 0.01, 0.01, 3)[0] for _ in range(2)]
    assert few[0] == few[1]


def test_twenty_controls_show_no_rate_at_one_per_cent():
    estimate, rate = rate_above(np.full(60, 9.0), np.zeros(20), 0.01, 0.01)
    assert rate == 0.05
    assert (estimate.value, estimate.floor) == (1.0, 0.0)


def test_excess_by_known_values():
    # Newcombe (1998), table II: 56/70 against 48/80, method 10, 95 %: .0524 to .3339.
    assert excess_estimate((56, 48), (70, 80), 0.025).floor == pytest.approx(0.0524, abs=1e-4)
    nothing = excess_estimate((0, 0), (100, 50), 0.01)
    assert nothing.value == 0.0
    assert nothing.low < 0 < nothing.high


def test_risk_by_its_formula():
    found = risk_estimate((90, 30), (100, 50), 0.01)
    assert found.value == pytest.approx((0.9 - 0.6) / 0.4)
    assert found.floor < found.low < found.value < found.high
    assert risk_estimate((90, 50), (100, 50), 0.01) is None


def test_the_ends_of_the_risk_are_wrong_in_about_five_per_cent():
    rng = np.random.default_rng(3)
    hits = zip(rng.binomial(600, 0.5, 800), rng.binomial(200, 0.4, 800), strict=True)
    found = [risk_estimate((int(a), int(c)), (600, 200), 0.05) for a, c in hits]
    truth = 0.1 / 0.6
    assert np.mean([e.floor > truth for e in found]) == pytest.approx(0.05, abs=0.025)
    assert np.mean([e.high < truth for e in found]) == pytest.approx(0.05, abs=0.025)
