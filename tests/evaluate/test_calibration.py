"""Priors restored, and calibration errors by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import curator
from curator.evaluate import calibration_error, restore_prior


def test_the_odds_of_two_classes_move_by_a_constant():
    chance = np.array([0.01, 0.2, 0.5, 0.97])
    restored = curator.restore_prior(chance, [0.5, 0.5], [0.9, 0.1])
    odds = np.log(chance / (1 - chance)) + np.log(0.1 / 0.5) - np.log(0.9 / 0.5)
    assert restored == pytest.approx(1 / (1 + np.exp(-odds)))
    both = restore_prior(np.column_stack([1 - chance, chance]), [0.5, 0.5], [0.9, 0.1])
    assert both == pytest.approx(np.column_stack([1 - restored, restored]))


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_there_and_back_again(trained, true):
    chance = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    there = restore_prior(chance, trained, true)
    assert there.sum(axis=1) == pytest.approx(np.ones(20))
    assert restore_prior(there, true, trained) == pytest.approx(chance)
    assert restore_prior(chance, true, true) == pytest.approx(chance)


def test_a_model_of_evened_out_classes_is_calibrated_again():
    """Rows of a class that weigh ten times as much: known true shares, and a model that can be exact."""
    rng = np.random.default_rng(0)
    n = 40_000
    y = (rng.random(n) < 0.05).astype(int)
    x = rng.normal(1.5 * y, 1.0)[:, None]
    learn, judge = slice(0, n // 2), slice(n // 2, n)
    weight = np.where(y == 1, 10.0, 1.0)
    model = LogisticRegression(C=1e6).fit(x[learn], y[learn], sample_weight=weight[learn])
    chance = model.predict_proba(x[judge])
    trained = np.bincount(y[learn], weight[learn])
    restored = restore_prior(chance, trained, np.bincount(y[learn]))
    ones = np.ones(n // 2)
    assert chance[:, 1].mean() > 0.15
    assert restored[:, 1].mean() == pytest.approx(0.05, abs=0.004)
    assert calibration_error(y[judge], chance, ones) > 0.04
    assert calibration_error(y[judge], restored, ones) < 0.006


@pytest.mark.parametrize(
    ("trained", "true"),
    [([0.5, 0.5], [1.0, 0.0]), ([0.5], [0.5]), ([0.2, 0.3, 0.5], [0.5, 0.5]), ([-1, 2], [0.5, 0.5])],
)
def test_shares_that_are_none_are_refused(trained, true):
    with pytest.raises(ValueError, match="shares"):
        restore_prior(np.array([[0.5, 0.5]]), trained, true)


def test_the_calibration_error_by_hand():
    chance = np.array([[0.05, 0.95], [0.1, 0.9], [0.75, 0.25], [0.72, 0.28]])
    y = np.array([1, 0, 0, 0])
    # Bin .9 to 1: sure .95 and .9, one of two right; bin .7 to .8: sure .75 and .72, both right.
    assert calibration_error(y, chance, np.ones(4)) == pytest.approx((abs(1 - 1.85) + abs(2 - 1.47)) / 4)
    weight = np.array([3.0, 1.0, 0.0, 0.0])
    assert calibration_error(y, chance, weight) == pytest.approx(abs(3 - (2.85 + 0.9)) / 4)
    assert calibration_error(y, np.eye(2)[y], np.ones(4)) == 0


def test_shares_by_class_go_with_the_columns_of_a_model():
    """The rarer class is the positive one and stands last in a run; scikit-learn sorts by name."""
    chance = np.array([[0.5, 0.5], [0.9, 0.1]])
    trained, true = {"good": 0.5, "bad": 0.5}, {"good": 0.9, "bad": 0.1}
    by_name = restore_prior(chance, trained, true, np.array(["bad", "good"], dtype=object))
    assert by_name == pytest.approx(restore_prior(chance, [0.5, 0.5], [0.1, 0.9]))
    numbers = restore_prior(chance, {"0": 0.5, "1": 0.5}, {"1": 0.1, "0": 0.9}, np.array([0.0, 1.0]))
    assert numbers == pytest.approx(restore_prior(chance, [0.5, 0.5], [0.9, 0.1]))
    flags = restore_prior(chance, {"False": 0.5, "True": 0.5}, {"True": 0.1, "False": 0.9}, np.array([False, True]))
    assert flags == pytest.approx(numbers)


def test_shares_by_class_need_to_know_the_columns():
    shares = {"good": 0.9, "bad": 0.1}
    with pytest.raises(ValueError, match=r"classes=model\.classes_"):
        restore_prior(np.array([[0.5, 0.5]]), shares, shares)
    with pytest.raises(ValueError, match="there are shares of"):
        restore_prior(np.array([[0.5, 0.5]]), shares, shares, ["good", "ugly"])
