"""Weights of rare classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from curator.rare import class_shares, class_weights
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
