"""Every metric against scikit-learn, and every scorer of scikit-learn that a recipe may name."""

from __future__ import annotations

import warnings
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression

from curator.errors import UserError
from curator.evaluate import METRICS, Metric, Prediction, check_metric, find_metric, reported_metrics, resolve_metric
from curator.prepare import is_defined

TASKS = ("binary", "multiclass", "regression")


def _one_against_rest(function, y, chance, w):
    return np.mean([function(y == c, chance[:, c], sample_weight=w) for c in range(chance.shape[1])])


EXPECTED = {
    ("log_loss", "binary"): lambda y, p, w: sk.log_loss(y, p.chance, sample_weight=w),
    ("log_loss", "multiclass"): lambda y, p, w: sk.log_loss(y, p.chance, sample_weight=w),
    ("brier", "binary"): lambda y, p, w: sk.brier_score_loss(y, p.chance[:, 1], sample_weight=w),
    ("brier", "multiclass"): lambda y, p, w: sk.brier_score_loss(
        y, p.chance, sample_weight=w, labels=range(4), scale_by_half=False
    ),
    ("roc_auc", "binary"): lambda y, p, w: sk.roc_auc_score(y, p.chance[:, 1], sample_weight=w),
    ("roc_auc", "multiclass"): lambda y, p, w: _one_against_rest(sk.roc_auc_score, y, p.chance, w),
    ("average_precision", "binary"): lambda y, p, w: sk.average_precision_score(y, p.chance[:, 1], sample_weight=w),
    ("average_precision", "multiclass"): lambda y, p, w: _one_against_rest(sk.average_precision_score, y, p.chance, w),
    ("balanced_accuracy", "binary"): lambda y, p, w: sk.balanced_accuracy_score(y, p.value, sample_weight=w),
    ("balanced_accuracy", "multiclass"): lambda y, p, w: sk.balanced_accuracy_score(y, p.value, sample_weight=w),
    ("accuracy", "binary"): lambda y, p, w: sk.accuracy_score(y, p.value, sample_weight=w),
    ("accuracy", "multiclass"): lambda y, p, w: sk.accuracy_score(y, p.value, sample_weight=w),
    ("f1", "binary"): lambda y, p, w: sk.f1_score(y, p.value, sample_weight=w),
    ("f1", "multiclass"): lambda y, p, w: sk.f1_score(y, p.value, average="macro", sample_weight=w),
    ("rmse", "regression"): lambda y, p, w: sk.root_mean_squared_error(y, p.value, sample_weight=w),
    ("mae", "regression"): lambda y, p, w: sk.mean_absolute_error(y, p.value, sample_weight=w),
    ("r2", "regression"): lambda y, p, w: sk.r2_score(y, p.value, sample_weight=w),
}


def test_the_table_is_complete():
    assert set(EXPECTED) == {(m.name, t) for m in METRICS.values() for t in m.tasks}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("name", "task"), sorted(EXPECTED))
def test_metric_is_what_scikit_learn_computes(judged, name, task, ties):
    y, prediction, weight = judged(task, ties=ties)
    expected = EXPECTED[name, task]
    assert METRICS[name](y, prediction, weight) == pytest.approx(expected(y, prediction, weight), rel=1e-9)
    assert METRICS[name](y, prediction, np.ones(60)) == pytest.approx(expected(y, prediction, None), rel=1e-9)


@pytest.mark.parametrize(("name", "task"), sorted(EXPECTED))
def test_a_perfect_prediction_is_best(judged, name, task):
    y, prediction, weight = judged(task)
    k = 0 if prediction.chance is None else prediction.chance.shape[1]
    perfect = Prediction(np.eye(k)[y] if k else None, y.astype(float) if k == 0 else y)
    metric = METRICS[name]
    best, score = metric(y, perfect, weight), metric(y, prediction, weight)
    assert best == pytest.approx(1.0 if metric.greater_is_better else 0.0, abs=1e-9)
    assert metric.gain(best, score) > 0
    assert metric.gain(score, best) == -metric.gain(best, score)


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if m.row_losses is not None])
def test_row_losses_average_to_the_metric(judged, name):
    metric = METRICS[name]
    for task in metric.tasks:
        y, prediction, weight = judged(task)
        mean = np.average(metric.row_losses(y, prediction), weights=weight)
        assert metric(y, prediction, weight) == pytest.approx(np.sqrt(mean) if metric.root else mean)


def test_log_loss_is_finite_where_a_class_has_no_chance():
    prediction = Prediction(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0]))
    value = METRICS["log_loss"](np.array([1, 0]), prediction, np.ones(2))
    assert np.isfinite(value)
    assert value > 10


def test_roc_auc_leaves_out_classes_that_cannot_be_ranked(judged):
    y, prediction, weight = judged("multiclass")
    y = np.where(y == 3, 0, y)
    expected = np.mean([sk.roc_auc_score(y == c, prediction.chance[:, c], sample_weight=weight) for c in range(3)])
    assert METRICS["roc_auc"](y, prediction, weight) == pytest.approx(expected)


def test_undefined_is_nan_and_silent():
    prediction = Prediction(np.full((5, 2), 0.5), np.zeros(5, dtype=int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(METRICS["roc_auc"](np.zeros(5, dtype=int), prediction, np.ones(5)))
        assert METRICS["f1"](np.zeros(5, dtype=int), prediction, np.ones(5)) == 0


# --- recall at a false-positive rate --------------------------------------------------------------


def _recall_at(rate, y, score, w):
    """Try every threshold."""
    best = 0.0
    for cut in np.unique(score):
        called = score >= cut
        false = w[called & (y == 0)].sum() / w[y == 0].sum()
        if false <= rate + 1e-12:
            best = max(best, w[called & (y == 1)].sum() / w[y == 1].sum())
    return best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rate", ["0.05", ".2", "0.5"])
@pytest.mark.parametrize("seed", range(4))
def test_recall_at_fpr_tries_every_threshold(judged, rate, ties, seed):
    y, prediction, weight = judged(seed=seed, n=120, ties=ties)
    metric = find_metric(f"recall_at_fpr@{rate}")
    for w in (weight, np.ones(120)):
        assert metric(y, prediction, w) == pytest.approx(_recall_at(float(rate), y, prediction.chance[:, 1], w))


def test_recall_at_fpr_keeps_thresholds_on_a_straight_stretch():
    # Ten groups of tied scores, each with one of ten positives and one of ten negatives: the curve is a straight line.
    y = np.tile([0, 1], 10)
    score = np.repeat(np.arange(10) / 10, 2)
    prediction = Prediction(np.column_stack([1 - score, score]), (score > 0.5).astype(int))
    assert find_metric("recall_at_fpr@0.35")(y, prediction, np.ones(20)) == pytest.approx(0.3)


@pytest.mark.parametrize("rate", ["@0", "@0.0", "@1", "@5", "@", ""])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="unknown metric"):
        find_metric(f"recall_at_fpr{rate}")


# --- scorers of scikit-learn ----------------------------------------------------------------------


class Positive(LinearRegression):
    """Predicts what every error measure can take."""

    def predict(self, X):
        return np.clip(super().predict(X), 0.05, None)


@pytest.fixture(scope="module")
def fitted():
    """Return (model, X, y, prediction) by task, y as class codes or positive numbers."""

    def of(task):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(90, 3))
        signal = X[:, 0] + rng.normal(0, 0.7, 90)
        if task == "regression":
            y = signal - signal.min() + 0.5
            model = Positive().fit(X, y)
            return model, X, y, Prediction(None, model.predict(X))
        y = np.searchsorted([0.0] if task == "binary" else [-0.5, 0.5], signal)
        model = LogisticRegression().fit(X, y)
        chance = model.predict_proba(X)
        return model, X, y, Prediction(chance, model.predict(X))

    return {task: of(task) for task in TASKS}


def _accepted(name, task):
    try:
        check_metric(name, task)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [n for n in sk.get_scorer_names() if n not in METRICS])
def test_a_scorer_that_is_accepted_gives_what_scikit_learn_gives(fitted, name, task):
    model, X, y, prediction = fitted[task]
    if not _accepted(name, task):
        pytest.skip(f"refused for {task}")
    metric = find_metric(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.get_scorer(name)(model, X, y)
    assert np.isfinite(expected), "a scorer that this task cannot have must be refused"
    assert metric(y, prediction, np.ones(90)) == pytest.approx(expected)
    assert metric.greater_is_better, "scorers are greater when better, errors being negated"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [n for n in sk.get_scorer_names() if n not in METRICS])
def test_a_scorer_that_is_accepted_takes_weights(fitted, name, task):
    _, _, y, prediction = fitted[task]
    if not _accepted(name, task):
        pytest.skip(f"refused for {task}")
    metric, rng = find_metric(name), np.random.default_rng(1)
    weight = rng.random(90) + 0.5 if metric.weighted else rng.integers(1, 3, 90).astype(float)
    assert np.isfinite(metric(y, prediction, weight))
    if not metric.weighted:
        assert np.isnan(metric(y, prediction, weight + 0.5))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("binary", ("neg_log_loss", "neg_brier_score", "precision", "recall", "matthews_corrcoef", "f1_macro")),
        ("multiclass", ("neg_log_loss", "f1_weighted", "recall_macro", "roc_auc_ovr", "roc_auc_ovr_weighted")),
        ("regression", ("neg_mean_squared_error", "neg_mean_absolute_percentage_error", "explained_variance")),
    ],
)
def test_the_usual_scorers_are_accepted(task, names):
    for name in names:
        check_metric(name, task)


@pytest.mark.parametrize(
    ("name", "task"), [("rmse", "binary"), ("log_loss", "regression"), ("precision", "multiclass"),
                       ("recall_at_fpr@0.05", "multiclass"), ("neg_log_loss", "regression"), ("r2", "multiclass"),
                       ("neg_mean_absolute_error", "binary"), ("explained_variance", "multiclass")],
)  # fmt: skip
def test_a_metric_that_cannot_judge_a_task_is_refused(name, task):
    with pytest.raises(ValueError, match=f"cannot judge {task}; among those that can"):
        check_metric(name, task)


def test_an_unknown_metric_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown metric 'logloss'; did you mean 'log_loss'\?") as caught:
        find_metric("logloss")
    assert "recall_at_fpr@0.05" in str(caught.value)


# --- reading a metric -----------------------------------------------------------------------------


def test_defaults_and_what_is_reported():
    assert [resolve_metric("auto", t).name for t in TASKS] == ["log_loss", "log_loss", "rmse"]
    shown = [m.name for m in reported_metrics([METRICS["f1"]], "binary")]
    assert shown[0] == "f1"
    assert len(shown) == len(set(shown)) == 6
    for task in TASKS:
        assert all(task in m.tasks for m in reported_metrics([resolve_metric("auto", task)], task))


def test_margins_are_relative_for_losses_and_errors():
    assert METRICS["rmse"].margin(0.01, 250.0) == 2.5
    assert METRICS["mae"].margin(0.01, -250.0) == 2.5
    assert METRICS["log_loss"].margin(0.01, 0.3) == METRICS["brier"].margin(0.01, 0.3) == 0.003
    assert METRICS["roc_auc"].margin(0.01, 0.02) == 0.01
    assert METRICS["r2"].margin(0.01, 0.5) == 0.01
    assert find_metric("neg_mean_absolute_error").margin(0.01, -250.0) == 2.5


    assert find_metric("neg_log_loss").margin(0.01, -0.3) == 0.003
    assert METRICS["log_loss"].margin(0.0, 0.3) == METRICS["log_loss"].margin(0.01, 0.0) == 0.0


def test_label_metrics_are_known_as_such():
    assert {n for n, m in METRICS.items() if m.needs == "label"} == {"balanced_accuracy", "accuracy", "f1"}
    assert find_metric("f1_macro").needs == "label"
    assert find_metric("recall_at_fpr@0.1").needs == "chance"
    assert find_metric("roc_auc_ovr").needs == "chance"


def _halved(y, prediction, weight):
    return prediction.label.mean()


OWN = Metric("own", _halved, True, frozenset({"binary"}), "label")
NOT_ONE = 3


@pytest.fixture
def named(monkeypatch):
    """Let the given entry points be the only ones; the memory of names starts anew."""

    def of(**values):
        points = [EntryPoint(name, f"{__name__}:{value}", "curator.metrics") for name, value in values.items()]
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
        find_metric.cache_clear()

    yield of
    find_metric.cache_clear()


def test_a_metric_of_ones_own_that_raises_is_named(named):
    named(own="OWN")
    y, chance = np.array([0, 1]), np.array([[0.4, 0.6], [0.7, 0.3]])
    with pytest.raises(UserError, match=r"the metric own failed on 2 rows: .*label"):
        find_metric("own")(y, Prediction(chance, chance.argmax(axis=1)), np.ones(2))


def test_entry_points_that_are_no_metric_are_told_and_known_ones_are_listed(named):
    named(own="OWN", other="NOT_ONE", third="NOWHERE")
    with pytest.raises(ValueError, match=r"the metric other \(.*NOT_ONE\) is int; it must be a Metric"):
        find_metric("other")
    with pytest.raises(ValueError, match=r"the metric third \(.*NOWHERE\) cannot be imported"):
        find_metric("third")
    with pytest.raises(ValueError, match=r"own"):
        find_metric("owm")


@pytest.mark.parametrize(
    ("name", "y", "defined"),
    [
        ("average_precision", [0] * 9, False), ("f1", [0] * 9, False), ("recall", [0] * 9, False),
        ("roc_auc", [0] * 9, False), ("log_loss", [0] * 9, True), ("accuracy", [0] * 9, True),
        ("average_precision", [0] * 8 + [1], True), ("f1", [0] * 8 + [1], True), ("roc_auc", [0] * 8 + [1], True),
    ],
)  # fmt: skip
def test_rows_by_which_right_and_wrong_are_the_same_tell_nothing(name, y, defined):
    rows = SimpleNamespace(y=np.array(y), weight=np.ones(9), classes=("no", "yes"))
    assert is_defined(find_metric(name), rows, np.arange(9)) == defined


def test_a_metric_that_counts_sure_calls_alone_is_defined():
    sure = Metric("sure", lambda y, p, w: float(((p.chance.max(axis=1) > 0.99) & (p.value == y)).mean()), True,
                  frozenset({"multiclass"}), "chance")  # fmt: skip
    rows = SimpleNamespace(y=np.arange(60) % 10, weight=np.ones(60), classes=tuple("abcdefghij"))
    assert is_defined(sure, rows, np.arange(60))
