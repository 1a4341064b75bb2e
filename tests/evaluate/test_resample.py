"""The bootstrap: fast versions equal the metric itself, and resamples keep their totals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.evaluate import (
    METRICS,
    Prediction,
    find_metric,
    gain_errors,
    independent_units,
    resampled,
    resampling_weights,
    thin_classes,
)
from curator.evaluate import resample as module

CASES = sorted((m.name, t) for m in METRICS.values() for t in m.tasks)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("name", "task"), CASES)
def test_fast_versions_equal_the_metric(judged, name, task, ties):
    for seed in range(3):
        y, prediction, _ = judged(task, n=50, seed=seed, ties=ties)
        weights = np.random.default_rng(seed).random((7, 50)) + 0.01
        metric = METRICS[name]
        expected = [metric(y, prediction, row) for row in weights]
        assert resampled(metric, y, prediction, weights) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_count_is_as_good_as_copies(judged, name, task):
    y, prediction, _ = judged(task, n=80, ties=True)
    counts = np.random.default_rng(0).integers(0, 4, (6, 80)).astype(float)
    metric = METRICS[name]
    expected = []
    for row in counts:
        rows = np.repeat(np.arange(80), row.astype(int))
        chance = None if prediction.chance is None else prediction.chance[rows]
        expected.append(metric(y[rows], Prediction(chance, prediction.value[rows]), np.ones(len(rows))))
    assert resampled(metric, y, prediction, counts) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "accuracy", "log_loss", "brier"])
def test_a_class_that_was_not_drawn_is_as_if_it_were_not_there(judged, name):
    # Whole groups are drawn, so that a rare class may be absent from a resample, and from its predictions.
    y, prediction, _ = judged("multiclass", n=60)
    gone = (y == 3) | (prediction.value == 3)
    counts = np.where(gone, 0.0, 1.0)[None]
    rest = Prediction(prediction.chance[~gone], prediction.value[~gone])
    expected = METRICS[name](y[~gone], rest, np.ones((~gone).sum()))
    assert resampled(METRICS[name], y, prediction, counts) == pytest.approx([expected])


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_probabilities_that_do_not_sum_to_one(judged, name):
    y, prediction, weight = judged("multiclass", n=60)
    loose = Prediction(prediction.chance * (0.2 + np.random.default_rng(0).random((60, 1))), prediction.value)
    assert resampled(METRICS[name], y, loose, weight[None]) == pytest.approx([METRICS[name](y, loose, weight)])


def test_r2_of_targets_far_from_zero(judged):
    # Prices, years, times in seconds: the spread is small beside the level.
    y, prediction, weight = judged("regression", n=60)
    far = 1e8
    moved = Prediction(None, prediction.value + far)
    expected = METRICS["r2"](y + far, moved, weight)
    assert resampled(METRICS["r2"], y + far, moved, weight[None]) == pytest.approx([expected], rel=1e-4)


def test_other_metrics_go_row_by_row(judged):
    y, prediction, _ = judged("binary", n=50)
    weights = np.random.default_rng(0).random((3, 50)) + 0.1
    for name in ("recall_at_fpr@0.2", "matthews_corrcoef"):
        metric = find_metric(name)
        assert resampled(metric, y, prediction, weights) == pytest.approx([metric(y, prediction, w) for w in weights])


def test_undefined_resamples_are_nan(judged):
    y, prediction, _ = judged("binary", n=50)
    only_negatives = np.where(y == 1, 0.0, 1.0)[None]
    assert np.isnan(resampled(METRICS["roc_auc"], y, prediction, only_negatives)).all()
    assert np.isnan(resampled(METRICS["average_precision"], y, prediction, only_negatives)).all()


@settings(max_examples=30, deadline=None)
@given(
    strata=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    count=st.integers(1, 12),
    chunk=st.sampled_from([1, 100, 10**6]),
)
def test_every_stratum_keeps_its_size(strata, count, chunk):
    strata = np.array(strata)
    before, module._CHUNK = module._CHUNK, chunk
    try:
        parts = list(resampling_weights(np.ones(len(strata)), strata, None, count, 0))
    finally:
        module._CHUNK = before
    drawn = np.concatenate(parts)
    assert drawn.shape == (count, len(strata))
    assert all(p.size <= max(chunk, len(strata)) for p in parts)
    assert (drawn.sum(axis=1) == len(strata)).all()
    values, counts = np.unique(strata, return_counts=True)
    small = counts < 10
    for value, few in zip(values, small, strict=True):
        own = strata == value
        # Strata of under ten rows are drawn together, perhaps with the smallest of the others.
        if not few and (not small.any() or counts[small].sum() >= 10):
            assert (drawn[:, own].sum(axis=1) == own.sum()).all()
    assert np.array_equal(drawn, np.round(drawn))
    assert (drawn >= 0).all()


def test_groups_are_drawn_whole():
    groups = np.array([5, 5, 5, 9, 9, 2, 7, 7])
    (drawn,) = resampling_weights(np.ones(8), np.zeros(8, dtype=int), groups, 200, 0)
    for value in np.unique(groups):
        own = drawn[:, groups == value]
        assert (own == own[:, :1]).all()
    first = [0, 3, 5, 6]
    assert (drawn[:, first].sum(axis=1) == 4).all(), "as many groups as there are"
    assert len(np.unique(drawn, axis=0)) > 20


def test_weights_multiply_counts():
    weight = np.array([0.0, 1.0, 2.5, 10.0])
    (plain,) = resampling_weights(np.ones(4), np.zeros(4, dtype=int), None, 20, 3)
    (weighted,) = resampling_weights(weight, np.zeros(4, dtype=int), None, 20, 3)
    assert np.array_equal(weighted, plain * weight)


def test_seeds_decide():
    def draw(seed):
        return np.concatenate(list(resampling_weights(np.ones(30), np.arange(30) % 2, None, 5, seed)))

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_every_row_is_drawn_once_on_average():
    (drawn,) = resampling_weights(np.ones(20), np.repeat([0, 1], [15, 5]), None, 4000, 0)
    assert drawn.mean(axis=0) == pytest.approx(np.ones(20), abs=0.1)


def test_a_class_of_one_row_comes_and_goes():
    """Drawn from itself alone it would never vary, and a metric that hangs on it would look certain."""
    strata = np.array([0] * 140 + [1] * 6 + [2] * 2 + [3, 4])
    (drawn,) = resampling_weights(np.ones(150), strata, None, 400, 0)
    assert drawn[:, -1].std() > 0.5
    assert (drawn[:, strata == 0].sum(axis=1) == 140).all()


# --- standard errors ------------------------------------------------------------------------------


def _two(kind, n=240, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "rmse":
        y = rng.normal(size=n)
        return y, *(Prediction(None, y + rng.normal(0, spread, n)) for spread in (1.0, 0.7))
    y = (rng.random(n) < 0.3).astype(int)
    parts = []
    for spread in (1.5, 1.0):
        up = 1 / (1 + np.exp(-(y * 2 - 1 + rng.normal(0, spread, n))))
        chance = np.column_stack([1 - up, up])
        parts.append(Prediction(chance, chance.argmax(axis=1)))
    return y, *parts


@pytest.mark.parametrize("kind", ["log_loss", "brier", "rmse", "mae"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_error_of_a_gain_is_the_spread_of_its_resamples(kind, grouped):
    y, before, after = _two("rmse" if kind in {"rmse", "mae"} else kind)
    metric, rng = METRICS[kind], np.random.default_rng(3)
    weight = rng.random(len(y)) + 0.2
    strata = y if kind == "log_loss" else np.zeros(len(y), dtype=int)
    groups = np.arange(len(y)) // 3 if grouped else None
    (draws,) = resampling_weights(weight, strata, groups, 4000, 1)
    gains = resampled(metric, y, before, draws) - resampled(metric, y, after, draws)
    (error,) = gain_errors(metric, y, after, before, weight[None], weight, strata, groups)
    assert error == pytest.approx(gains.std(), rel=0.06)
    errors = gain_errors(metric, y, after, before, draws, weight, strata, groups)
    assert errors.shape == (4000,)
    assert np.sqrt((errors**2).mean()) == pytest.approx(error, rel=0.06)


def test_the_error_of_a_gain_by_hand():
    y = np.zeros(4)
    before, after = Prediction(None, np.array([1.0, 2.0, 3.0, 4.0])), Prediction(None, np.zeros(4))
    ones = np.ones(4)
    (error,) = gain_errors(METRICS["mae"], y, after, before, ones[None], ones, np.zeros(4, dtype=int))
    assert error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)


def test_the_same_prediction_gains_nothing_for_certain():
    for kind in ("log_loss", "rmse"):
        y, same, _ = _two(kind)
        weight = np.random.default_rng(0).random(len(y))
        (draws,) = resampling_weights(weight, np.zeros(len(y), dtype=int), None, 50, 1)
        assert (gain_errors(METRICS[kind], y, same, same, draws, weight, np.zeros(len(y), dtype=int)) == 0).all()


# --- thin classes ---------------------------------------------------------------------------------


def _surely(y, rare):
    """Return a prediction that gives the own class .98 in rows of class 0, and `rare` in the others."""
    own = np.where(y == 0, 0.98, rare)
    chance = np.full((len(y), 3), 1.0)
    chance *= ((1 - own) / 2)[:, None]
    chance[np.arange(len(y)), y] = own
    return Prediction(chance, chance.argmax(axis=1))


def test_a_class_of_few_rows_that_bears_most_of_the_loss_is_thin():
    y = np.array([0] * 70 + [1] * 9 + [2] * 30)
    loss, ones = METRICS["log_loss"], np.ones(109)
    sure, hard = _surely(y, 0.97), _surely(y, 0.2)
    assert thin_classes(loss, y, ones, sure, 3).tolist() == [], "it hardly matters"
    assert thin_classes(loss, y, ones, hard, 3).tolist() == [], "class 2 bears more, and has rows enough"
    own = y != 2
    only = Prediction(hard.chance[own], hard.value[own])
    assert thin_classes(loss, y[own], ones[own], only, 2).tolist() == [1]
    enough = np.append(y[own], 1)
    assert thin_classes(loss, enough, np.ones(80), _surely(enough, 0.2), 2).tolist() == []


def test_thin_classes_by_weight_and_where_every_class_counts():
    y = np.array([0] * 70 + [1] * 9)
    hard = _surely(y, 0.2)
    assert thin_classes(METRICS["log_loss"], y, np.where(y == 1, 1e-3, 1.0), hard, 2).tolist() == []
    assert thin_classes(METRICS["balanced_accuracy"], y, np.ones(79), hard, 2).tolist() == []
    assert thin_classes(METRICS["balanced_accuracy"], y[:-5], np.ones(74), hard, 2).tolist() == [1]
    assert thin_classes(METRICS["accuracy"], y[:-5], np.ones(74), hard, 2).tolist() == []
    assert thin_classes(METRICS["rmse"], y.astype(float), np.ones(79), hard, 0).tolist() == []


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "f1"])
def test_rows_that_weigh_nothing_do_not_make_a_class_less_thin(name):
    y = np.repeat([0, 1], [60, 30])
    weight = np.where((y == 1) & (np.arange(90) % 15 > 0), 0.0, 1.0)
    assert thin_classes(METRICS[name], y, np.ones(90), _surely(y, 0.01), 2).tolist() == []
    assert thin_classes(METRICS[name], y, weight, _surely(y, 0.01), 2).tolist() == [1]


@pytest.mark.parametrize("name", ["log_loss", "roc_auc"])
def test_a_class_whose_rows_are_of_few_groups_is_thin(name):
    y, hard = np.repeat([0, 1], [60, 30]), _surely(np.repeat([0, 1], [60, 30]), 0.01)
    few, many = np.concatenate([np.arange(60), 60 + np.arange(30) % 4]), np.arange(90) // 2
    assert thin_classes(METRICS[name], y, np.ones(90), hard, 2, few).tolist() == [1]
    assert thin_classes(METRICS[name], y, np.ones(90), hard, 2, many).tolist() == []


def test_units_are_rows_or_groups_that_weigh_anything():
    weight, groups = np.array([1.0, 0, 2, 3, 0]), np.array([7, 7, 7, 2, 5])
    assert (independent_units(weight, None), independent_units(weight, groups)) == (3, 2)
