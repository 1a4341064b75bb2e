"""Weights of rare classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from curator.rare import class_shares, class_weights, hard_weights, odds_weights
from curator.rare.weights import WEIGHT_CAP


@given(y=st.lists(st.integers(0, 4), min_size=1, max_size=200), exponent=st.floats(0.01, 1.0))
def test_weights_are_positive_capped_and_average_to_1(y, exponent):
    y = np.array(y)
    weight = class_weights(y, 5, exponent)
    assert weight.shape == (5,)
    assert np.isfinite(weight).all()
    assert (weight > 0).all()
    assert weight[y].mean() == pytest.approx(1)
    assert weight[y].max() <= WEIGHT_CAP * np.median(weight[y]) * (1 + 1e-9)
    counts = np.bincount(y, minlength=5)
    order = np.argsort(-counts, kind="stable")
    assert (np.diff(weight[order]) >= -1e-9).all(), "a rarer class never weighs less"


@given(st.lists(st.integers(6, 40), min_size=2, max_size=5))
def test_exponent_1_is_balanced(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=y)
    assert class_weights(y, len(counts), 1.0) == pytest.approx(expected)


def test_the_law_in_between():
    y = np.repeat([0, 1], [90, 10])
    weight = class_weights(y, 2, 0.5)
    assert weight[1] / weight[0] == pytest.approx(3.0)


def test_the_cap():
    y = np.repeat([0, 1], [9900, 100])
    weight = class_weights(y, 2, 1.0)
    assert weight[1] / weight[0] == pytest.approx(WEIGHT_CAP)


def test_a_class_without_rows_weighs_no_more_than_one_with_a_single_row():
    y = np.array([0] * 5 + [1])
    weight = class_weights(y, 3, 1.0)
    assert weight[2] == weight[1]


@given(st.lists(st.integers(6, 40), min_size=2, max_size=5), st.floats(0.1, 5))
def test_weights_count_for_shares(counts, times):
    """A class whose rows weigh k times as much has k times the share."""
    y = np.repeat(np.arange(len(counts)), counts)
    weight = np.where(y == 0, times, 1.0)
    share = class_shares(y, len(counts), weight)
    assert share.sum() == pytest.approx(1)
    assert share[0] / share[1] == pytest.approx(times * counts[0] / counts[1])
    found = class_weights(y, len(counts), 0.5, weight)
    assert found[0] / found[1] == pytest.approx((share[1] / share[0]) ** 0.5)
    assert (found * share).sum() == pytest.approx(1)
    assert class_shares(y, len(counts), 0 * weight) == pytest.approx(class_shares(y, len(counts)))


def test_nothing_to_weigh():
    assert class_weights(np.array([0, 1]), 2, 0.0) is None
    assert class_weights(np.array([0.5, 1.5]), 0, 1.0) is None


# --- effective numbers ----------------------------------------------------------------------------


def test_effective_numbers_by_hand():
    y = np.repeat([0, 1], [90, 10])
    beta = 0.99
    expected = (1 - beta) / (1 - beta**10) / ((1 - beta) / (1 - beta**90))
    weight = class_weights(y, 2, 0.0, beta=beta)
    assert weight[1] / weight[0] == pytest.approx(expected)
    assert weight[y].mean() == pytest.approx(1)


def test_effective_numbers_lie_between_alike_and_inverse_shares():
    y = np.repeat([0, 1], [80, 20])
    ratios = [np.divide(*class_weights(y, 2, 0.0, beta=b)[::-1]) for b in (1e-9, 0.5, 0.9, 0.99, 0.99999)]
    assert ratios[0] == pytest.approx(1, abs=1e-6)
    assert ratios[-1] == pytest.approx(4, abs=0.01)
    assert (np.diff(ratios) > -1e-9).all()


# --- hard rows, and odds --------------------------------------------------------------------------


def test_hard_rows_weigh_more_and_the_mean_stays():
    errors = np.array([0.0, 0.5, 1.0, 0.25])
    weight = hard_weights(errors, 2.0)
    assert weight / weight[0] == pytest.approx([1.0, 2.0, 3.0, 1.5])
    assert weight.mean() == pytest.approx(1)
    assert hard_weights(np.empty(0), 2.0).shape == (0,)


def test_odds_correct_a_density():
    """Draws from one normal, weighted to be those of another: the moments come out right."""
    rng = np.random.default_rng(0)
    x = rng.normal(0.5, 1, 40_000)
    real, made = (np.exp(-0.5 * (x - m) ** 2) for m in (0.0, 0.5))
    weight = odds_weights(real / (real + made), 1.0)
    assert (weight * x).mean() == pytest.approx(0.0, abs=0.03)
    assert weight.mean() == pytest.approx(1)
    assert odds_weights(real / (real + made), 0.0) == pytest.approx(np.ones(len(x)))


def test_no_weight_is_beyond_ten_medians():
    weight = odds_weights(np.array([0.5] * 50 + [0.9999, 1.0, 0.0]), 1.0)
    assert weight.max() == pytest.approx(WEIGHT_CAP * np.median(weight))
    assert np.isfinite(weight).all()
    assert weight.min() > 0
