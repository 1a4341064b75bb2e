"""Known values of the formulas by which verdicts are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import norm

from curator.evaluate import (
    chance_to_catch_up,
    expected_gain,
    holm,
    joined,
    judge,
    nadeau_bengio,
    percentile_interval,
    rows_needed,
    standard_error,
    studentised_interval,
    trimmed_mean,
)
from curator.records import Interval


def test_nadeau_bengio_by_hand():
    # d = 1, 2, 3, 4: mean 2.5, variance 5/3; J = 4, 25 rows judged for 75 trained; t(3) at 97.5 % is 3.1824463.
    found = nadeau_bengio([1.0, 2.0, 3.0, 4.0], n_train=75, n_valid=25)
    reach = 3.182446305 * math.sqrt((1 / 4 + 25 / 75) * 5 / 3)
    assert found.mean == 2.5
    assert found.high - found.mean == pytest.approx(reach, rel=1e-8)
    assert found.mean - found.low == pytest.approx(reach, rel=1e-8)
    assert (found.n, found.level) == (4, 0.95)


def test_nadeau_bengio_is_wider_than_a_plain_interval():
    d = np.random.default_rng(0).normal(size=10)
    plain = 2.262157163 * standard_error(d)
    found = nadeau_bengio(d, 90, 10)
    assert (found.high - found.low) / 2 == pytest.approx(plain * math.sqrt(1 + 10 / 9), rel=1e-8)


def test_nadeau_bengio_of_one_difference_knows_nothing():
    found = nadeau_bengio([0.3], 10, 5)
    assert (found.mean, found.low, found.high) == (0.3, -math.inf, math.inf)


def test_standard_error():
    assert standard_error([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3) / 2)
    assert standard_error([5.0]) == 0
    assert standard_error([]) == 0


def test_a_trimmed_mean_is_not_moved_by_one_fold():
    assert trimmed_mean([1.0, 2.0, 3.0, 4.0, 100.0])[0] == 3.0
    assert trimmed_mean([1.0, 2.0, 3.0, 4.0, 100.0]) == trimmed_mean([1.0, 2.0, 3.0, 4.0, 5.0])
    # Winsorised to 2, 2, 3, 4, 4: a standard deviation of 1, over the root of 5, over three fifths.
    assert trimmed_mean([1.0, 2.0, 3.0, 4.0, 100.0])[1] == pytest.approx(1 / math.sqrt(5) / 0.6)
    assert trimmed_mean([1.0, 2.0, 4.0])[0] == pytest.approx(7 / 3), "of few folds nothing is left out"
    assert trimmed_mean([0.3]) == (0.3, 0.0)


def test_the_error_of_a_trimmed_mean_is_its_spread():
    draws = np.random.default_rng(0).standard_t(3, (4000, 20))
    found = np.array([trimmed_mean(d.tolist()) for d in draws])
    assert found[:, 0].std() == pytest.approx(np.sqrt((found[:, 1] ** 2).mean()), rel=0.1)


def test_percentile_interval_leaves_out_undefined_replicates():
    replicates = np.concatenate([np.linspace(0, 1, 1001), [math.nan] * 500, [math.inf]])
    found = percentile_interval(0.4, replicates, 77)
    assert (found.mean, found.n) == (0.4, 77)
    assert (found.low, found.high) == (pytest.approx(0.025), pytest.approx(0.975))


def test_percentile_interval_of_hardly_any_replicate_knows_nothing():
    found = percentile_interval(0.4, np.array([0.1] * 19 + [math.nan] * 100), 5)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_studentised_interval_covers_what_is_skewed_and_a_percentile_interval_less():
    rng, n, truth = np.random.default_rng(4), 40, math.exp(0.5)
    covered = []
    for _ in range(600):
        values = rng.lognormal(0, 1, n)
        again = values[rng.integers(0, n, (400, n))]
        means, errors = again.mean(axis=1), again.std(axis=1, ddof=1) / math.sqrt(n)
        error = values.std(ddof=1) / math.sqrt(n)
        studentised = studentised_interval(values.mean(), error, means, errors, n)
        percentile = percentile_interval(values.mean(), means, n)
        covered.append([i.low <= truth <= i.high for i in (studentised, percentile)])
    studentised, percentile = np.mean(covered, axis=0)
    assert percentile < 0.9
    assert studentised > percentile + 0.02


def test_a_studentised_interval_of_what_is_normal_is_that_of_student():
    rng = np.random.default_rng(2)
    values = rng.normal(1.0, 2.0, 30)
    again = values[rng.integers(0, 30, (20_000, 30))]
    error = values.std(ddof=1) / math.sqrt(30)
    errors = again.std(axis=1, ddof=1) / math.sqrt(30)
    found = studentised_interval(values.mean(), error, again.mean(axis=1), errors, 30)
    assert (found.high - found.low) / 2 == pytest.approx(2.045 * error, rel=0.06)
    assert found.mean == values.mean()


def test_a_studentised_interval_without_spread_is_a_point():
    found = studentised_interval(0.2, 0.0, np.full(50, 0.2), np.zeros(50), 9)
    assert (found.low, found.high, found.n) == (pytest.approx(0.2), pytest.approx(0.2), 9)


def test_a_studentised_interval_leaves_out_resamples_without_spread():
    means, errors = np.linspace(-1, 1, 10_001), np.ones(10_001)
    plain = studentised_interval(0.0, 1.0, means, errors, 9)
    for worthless in (0.0, 1e-17, math.nan):
        found = studentised_interval(0.0, 1.0, np.append(means, [5.0] * 9), np.append(errors, [worthless] * 9), 9)
        assert found == plain


def test_where_many_resamples_have_no_spread_the_interval_is_no_narrower_than_the_percentiles():
    # Of 200 rows two differ: a resample without either has no spread, and is farthest from the estimate.
    values = np.zeros(200)
    values[:2] = 34.0
    again = values[np.random.default_rng(0).integers(0, 200, (4000, 200))]
    means, errors = again.mean(axis=1), again.std(axis=1, ddof=1) / math.sqrt(200)
    found = studentised_interval(values.mean(), values.std(ddof=1) / math.sqrt(200), means, errors, 200, units=200)
    assert found.low <= 0, "that two rows gain is no proof"
    assert found.low <= np.quantile(means, 0.025)
    assert found.high >= np.quantile(means, 0.975)


@pytest.mark.parametrize("units", [2, 3, 5, 8])
def test_intervals_of_few_units_seldom_miss(units):
    """Both kinds, on means of units that differ by nothing but chance: nominally 5 % miss."""
    rng, missed = np.random.default_rng(units), np.zeros(2)
    for _ in range(400):
        values = rng.normal(size=units)
        again = values[rng.integers(0, units, (400, units))]
        means, errors = again.mean(axis=1), again.std(axis=1, ddof=1) / math.sqrt(units)
        error = values.std(ddof=1) / math.sqrt(units)
        both = (percentile_interval(values.mean(), means, 60, units=units),
                studentised_interval(values.mean(), error, means, errors, 60, units=units))  # fmt: skip
        missed += [not i.low <= 0 <= i.high for i in both]
    assert (missed / 400 <= 0.09).all()


def test_of_a_single_unit_nothing_is_known():
    for found in (percentile_interval(0.3, np.full(200, 0.3), 40, units=1),
                  studentised_interval(0.3, 0.1, np.full(200, 0.3), np.zeros(200), 40, units=1)):  # fmt: skip
        assert (found.mean, found.low, found.high, found.n) == (0.3, -math.inf, math.inf, 40)


def test_many_units_leave_an_interval_as_it_is():
    means = np.random.default_rng(0).normal(size=2000)
    one, other = percentile_interval(0.0, means, 9), percentile_interval(0.0, means, 9, units=100_000)
    assert (one.low, one.high) == (pytest.approx(other.low, rel=1e-3), pytest.approx(other.high, rel=1e-3))


def test_joining_keeps_the_longer_side():
    one, other = Interval(0.1, 0.08, 0.3, 101), Interval(0.1, 0.0, 0.2, 51)
    both = joined(one, other, (2.0, 1.0))
    assert both.mean == pytest.approx(0.1)
    assert both.mean - both.low < both.high - both.mean
    # The lower ends by hand: 2/3 of .02, and 1/3 of .1, with about as many degrees of freedom as the latter has.
    assert both.mean - both.low == pytest.approx(math.hypot(2 / 3 * 0.02, 1 / 3 * 0.1), rel=0.01)
    endless = joined(Interval(0.1, 0.08, math.inf, 101), other, (2.0, 1.0))
    assert (endless.low, endless.high) == (pytest.approx(both.low), math.inf)


def test_rows_needed_look_at_the_end_that_must_move():
    skewed = Interval(0.01, -0.02, 0.2, 100)
    assert rows_needed(skewed, 0.005) == math.ceil(100 * (0.03 / 0.015) ** 2)
    other = Interval(-0.02, -0.2, 0.01, 100)
    assert rows_needed(other, 0.005) == math.ceil(100 * (0.03 / 0.02) ** 2)


def test_holm_by_hand():
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_between_no_correction_and_bonferroni_and_keeps_order(p):
    adjusted = holm(p)
    for own, found in zip(p, adjusted, strict=True):
        assert own <= found <= min(1.0, own * len(p)) + 1e-12
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0.001, 0.1, "better"), (-0.1, -0.001, "worse"), (-0.009, 0.2, "not_worse"), (-0.011, 0.2, "undecided"),
        (0.0, 0.0, "undecided"), (0.0, 0.1, "not_worse"), (-0.5, 0.0, "undecided"), (-math.inf, math.inf, "undecided"),
    ],
)  # fmt: skip
def test_judge(low, high, name):
    assert judge(Interval((low + high) / 2 if math.isfinite(low) else 0.0, low, high, 100), 0.01) == name


def _interval(mean: float, sd: float, n: float, quantile: float = 1.959963985) -> Interval:
    reach = quantile * sd / math.sqrt(n)
    return Interval(mean, mean - reach, mean + reach, round(n))


def test_rows_needed_of_the_known_example():
    # A standard deviation of .15 of paired losses and a margin of .01: for one-sided 5 %, some 610 rows.
    assert rows_needed(_interval(0.0, 0.15, 200, 1.644853627), 0.01) == pytest.approx(609, abs=2)


@pytest.mark.parametrize(("n", "odds"), [(610, 0.5), (2435, 0.95)])
def test_odds_of_not_worse_of_the_known_example(n, odds):
    # No true difference: how often does the interval clear the margin?
    means = np.random.default_rng(0).normal(0, 0.15 / math.sqrt(n), 4000)
    found = [judge(_interval(m, 0.15, n, 1.644853627), 0.01) for m in means]
    assert np.mean([v in {"not_worse", "better"} for v in found]) == pytest.approx(odds, abs=0.06)


@given(mean=st.floats(-0.05, 0.05), margin=st.floats(0.001, 0.05), n=st.integers(20, 5000))
def test_rows_needed_decides_and_fewer_do_not(mean, margin, n):
    sd = 1.0
    now = _interval(mean, sd, n)
    assume(judge(now, margin) == "undecided")
    needed = rows_needed(now, margin)
    assert needed is not None
    assert needed > n
    assert judge(_interval(mean, sd, needed * 1.001), margin) != "undecided"
    if needed > n + 2:
        assert judge(_interval(mean, sd, needed * 0.98 - 1), margin) == "undecided"


def test_rows_needed_knows_that_nothing_will_do():
    assert rows_needed(Interval(0.0, -1.0, 1.0, 50), 0.0) is None
    assert rows_needed(Interval(0.0, -math.inf, math.inf, 50), 0.01) is None
    assert rows_needed(Interval(0.0, 0.0, 0.0, 50), 0.01) is None
    assert rows_needed(Interval(0.0, -1e6, 1e6, 50), 1e-6) is None


def test_the_chance_to_catch_up_is_that_of_the_folds_to_come():
    """Simulate: given what two folds showed, how often does the mean over all five come out ahead?"""
    rng = np.random.default_rng(0)
    seen, spread = np.array([-0.4, -0.6]), 1.0
    # The true mean given the folds seen (flat prior), then three more folds around it.
    true = seen.mean() + spread / np.sqrt(2) * rng.normal(size=400_000)
    rest = true[:, None] + spread * rng.normal(size=(400_000, 3))
    expected = float(((seen.sum() + rest.sum(axis=1)) / 5 >= 0).mean())
    found = chance_to_catch_up(seen, [0.0, 0.0], 5, spread)
    # A t with five degrees of freedom has heavier tails than the normal that is simulated.
    assert found == pytest.approx(expected, abs=0.03)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=4), st.floats(0.01, 2))
def test_the_chance_to_catch_up_grows_with_the_folds_to_come_and_with_a_lead(differences, spread):
    zeros = [0.0] * len(differences)
    few, many = (chance_to_catch_up(differences, zeros, folds, spread) for folds in (5, 10))
    assert 0 <= few <= many <= 1
    assert chance_to_catch_up(np.add(differences, 0.5), zeros, 5, spread) >= few


def test_chance_to_catch_up_at_the_edges():
    assert chance_to_catch_up([0.3, 0.4], [0.1, 0.2], 5) == 1.0
    assert chance_to_catch_up([0.1, 0.2], [0.1, 0.2], 5) == 1.0
    assert chance_to_catch_up([0.0, 0.1], [0.5, 0.6], 5) == pytest.approx(0.0, abs=1e-9)
    assert chance_to_catch_up([0.0], [9.0], 5) == 1.0, "one fold tells nothing without an idea of the spread"
    assert chance_to_catch_up([0.0], [9.0], 5, 1.0) < 0.01
    assert chance_to_catch_up([0.0], [0.5], 5, 1.0) > 0.2
    assert chance_to_catch_up([0.0, 0.0], [1.0, -0.9], 2) == 0.0, "all folds are seen"


def test_the_expected_gain_is_that_of_the_best_of_so_many_draws():
    rng = np.random.default_rng(1)
    shortfalls = rng.normal(-1.0, 0.5, 4000)
    middle, spread = np.quantile(shortfalls, 0.5), np.subtract(*np.quantile(shortfalls, [norm.cdf(1), 0.5]))
    for n in (1, 20, 80):
        best = (middle + spread * rng.normal(size=(40_000, n))).max(axis=1)
        assert expected_gain(shortfalls, n) == pytest.approx(np.maximum(best, 0).mean(), rel=0.06, abs=2e-4)


def test_nothing_is_gained_by_no_trials_or_by_trials_that_are_all_alike():
    assert expected_gain([-1.0, -0.5, -0.2], 0) == 0.0
    assert expected_gain([-1.0] * 10, 50) == 0.0
    assert expected_gain([0.0] * 10, 50) == 0.0


# --- two estimates of one difference --------------------------------------------------------------


def test_two_estimates_are_averaged_by_their_weights():
    wide, narrow = Interval(0.3, 0.1, 0.5, 10_001), Interval(0.1, 0.0, 0.2, 10_001)
    both = joined(wide, narrow, (100, 400))
    assert both.mean == pytest.approx(0.8 * 0.1 + 0.2 * 0.3)
    assert both.high - both.mean == pytest.approx(math.hypot(0.2 * 0.2, 0.8 * 0.1), rel=1e-3)
    assert both.mean - both.low == pytest.approx(both.high - both.mean)
    assert joined(narrow, wide, (400, 100)) == both


def test_few_folds_keep_their_few_degrees_of_freedom():
    few, exact = Interval(0.1, 0.1 - 2.776445 * 0.05, 0.1 + 2.776445 * 0.05, 5), Interval(0.1, 0.1, 0.1, 400)
    both = joined(few, exact, (1, 1))
    assert both.mean - both.low == pytest.approx(2.776445 * 0.05 / 2, rel=1e-5)


def test_what_is_unknown_of_one_is_unknown_of_both():
    nothing, something = Interval(0.5, -math.inf, math.inf, 1), Interval(0.1, 0.0, 0.2, 40)
    assert joined(nothing, something, (1, 1)).low == -math.inf
    exact = Interval(0.0, 0.0, 0.0, 40)
    assert joined(exact, exact, (1, 3)) == Interval(0.0, 0.0, 0.0, 80)


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5.0))
@settings(max_examples=20, deadline=None)
def test_joined_intervals_cover_as_often_as_they_say(seed, spread):
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(400):
        one, other = rng.normal(0, 1.0, 30), rng.normal(0, 0.4 * spread, 5)
        parts = []
        for d in (one, other):
            reach = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
            parts.append(Interval(float(d.mean()), float(d.mean() - reach), float(d.mean() + reach), len(d)))
        both = joined(*parts, (30, 20))
        hits += both.low <= 0 <= both.high
    assert 0.91 <= hits / 400 <= 0.99
