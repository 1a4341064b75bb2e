"""Estimators: short names, import paths, and sentences for what cannot work."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression

from curator.errors import UserError
from curator.estimators import fit
from curator.evaluate import (
    ESTIMATORS,
    check_estimator,
    make_estimator,
    tuning_draws,
    tuning_problems,
    tuning_space,
)
from curator.predictions import predict
from curator.recipe import EstimatorSpec
from curator.table import ENCODERS

OPTIONAL = {"lightgbm", "xgboost", "catboost"}
QUICK = {"random_forest": {"n_estimators": 10}, "extra_trees": {"n_estimators": 10}, "mlp": {"max_iter": 20},
         "lightgbm": {"n_estimators": 10}, "xgboost": {"n_estimators": 10}, "catboost": {"iterations": 10}}  # fmt: skip
INSTALLED = [n for n in ESTIMATORS if n not in OPTIONAL or importlib.util.find_spec(n)]


def spec(name: str, **params) -> EstimatorSpec:
    return EstimatorSpec(name=name, params={**QUICK.get(name, {}), **params})


def by_path(path: str, **params) -> EstimatorSpec:
    return EstimatorSpec.model_validate({"class": path, "params": params})


def rows(n: int = 90) -> tuple[pd.DataFrame, np.ndarray]:
    """Return plain rows with missing values, and a signal."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "a": rng.normal(size=n), "b": rng.normal(100, 30, size=n), "w": rng.choice(list("uvx"), n).astype(object),
        "none": np.nan,
    })  # fmt: skip
    signal = (frame["a"] + 2 * (frame["w"] == "u")).to_numpy()
    frame.loc[rng.random(n) < 0.1, "b"] = np.nan
    frame.loc[rng.random(n) < 0.1, "w"] = np.nan
    return frame, signal


def encoded(encoding: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return training and other features (with a word never seen), signal, and which columns are codes."""
    frame, signal = rows()
    encoder = ENCODERS[encoding](("w",)).fit(frame)
    others = frame.tail(20).copy()
    others.iloc[0, 2] = "never seen"
    return encoder.transform(frame), encoder.transform(others), signal, tuple(encoder.categorical)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("name", INSTALLED)
def test_short_names_fit_and_predict(name, task):
    side = ESTIMATORS[name].regressor if task == "regression" else ESTIMATORS[name].classifier
    if side is None:
        with pytest.raises(UserError, match=f"task.estimator: {name} cannot do {task}; take "):
            make_estimator(spec(name), task)
        return
    estimator = make_estimator(spec(name), task)
    X, others, signal, codes = encoded(estimator.encoding)
    edges = [1.0] if task == "binary" else [0.2, 1.5]
    y = signal if task == "regression" else np.searchsorted(edges, signal)
    k = 0 if task == "regression" else len(edges) + 1
    weight = np.random.default_rng(1).random(90) + 0.5
    for w in (None, weight):
        model = fit(estimator, X, y, w, seed=0, categorical=codes)
        prediction = predict(model, others, k)
        own = predict(model, X, k)
        assert prediction.value.shape == (20,)
        assert np.isfinite(prediction.value).all()
        if k:
            assert prediction.chance.shape == (20, k)
            assert prediction.chance.sum(axis=1) == pytest.approx(1, abs=1e-5)
            assert set(prediction.value.tolist()) <= set(range(k))
            assert (own.value == y).mean() > np.bincount(y).max() / 90, "it learns"
        elif name not in {"mlp", "lightgbm"}:
            assert np.corrcoef(own.value, y)[0, 1] > 0.5


@pytest.mark.parametrize("name", [n for n in INSTALLED if n != "knn"])
def test_same_seed_same_model(name):
    task = "binary" if ESTIMATORS[name].classifier else "regression"
    estimator = make_estimator(spec(name), task)
    X, others, signal, codes = encoded(estimator.encoding)
    y = (signal > 1).astype(int) if task == "binary" else signal
    k = 2 if task == "binary" else 0
    one, other = (predict(fit(estimator, X, y, None, seed=4, categorical=codes), others, k) for _ in range(2))
    assert np.array_equal(one.value, other.value)
    assert k == 0 or np.array_equal(one.chance, other.chance)


def test_which_models_take_weights():
    takes = {n: make_estimator(spec(n), "binary").takes_weights for n in INSTALLED if ESTIMATORS[n].classifier}
    assert takes == {n: n != "knn" for n in takes}


def test_weights_count_where_they_are_taken():
    X = np.zeros((40, 1))
    y = np.arange(40) % 2
    weight = np.where(y == 1, 3.0, 1.0)
    estimator = make_estimator(by_path("sklearn.dummy.DummyClassifier"), "binary")
    chance = predict(fit(estimator, X, y, weight, seed=0, categorical=()), X, 2).chance
    assert chance[0].tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("path", "encoding"),
    [
        ("sklearn.tree.DecisionTreeClassifier", "ordinal"),
        ("sklearn.ensemble.RandomForestClassifier", "ordinal"),
        ("sklearn.ensemble.HistGradientBoostingClassifier", "ordinal"),
        ("sklearn.ensemble.GradientBoostingClassifier", "one_hot"),  # takes no missing values
        ("sklearn.naive_bayes.GaussianNB", "one_hot"),
    ],
)
def test_import_paths(path, encoding):
    estimator = make_estimator(by_path(path), "binary")
    assert (estimator.path, estimator.encoding, estimator.label) == (path, encoding, path)
    X, others, signal, codes = encoded(encoding)
    model = fit(estimator, X, (signal > 1).astype(int), None, seed=0, categorical=codes)
    assert predict(model, others, 2).chance.shape == (20, 2)


@pytest.mark.skipif("lightgbm" not in INSTALLED, reason="lightgbm is not installed")
def test_lightgbm_by_path():
    estimator = make_estimator(by_path("lightgbm.LGBMClassifier", n_estimators=5, verbose=-1), "binary")
    assert (estimator.encoding, estimator.takes_weights) == ("ordinal", True)


@pytest.mark.parametrize("path", ["sklearn.linear_model.RidgeClassifier", "sklearn.svm.LinearSVC"])
@pytest.mark.parametrize("k", [2, 3])
def test_margins_stand_in_for_probabilities(path, k):
    estimator = make_estimator(by_path(path), "binary" if k == 2 else "multiclass")
    X, others, signal, codes = encoded("one_hot")
    y = np.searchsorted([1.0] if k == 2 else [0.2, 1.5], signal)
    model = fit(estimator, X, y, None, seed=0, categorical=codes)
    prediction = predict(model, others, k)
    assert prediction.chance.shape == (20, k)
    assert prediction.chance.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(prediction.chance.argmax(axis=1), prediction.value)
    if k == 2:
        order = np.argsort(model.decision_function(others))
        assert (np.diff(prediction.chance[order, 1]) >= 0).all()


def test_a_class_absent_from_training_gets_probability_0():
    for path in ("sklearn.dummy.DummyClassifier", "sklearn.linear_model.RidgeClassifier"):
        estimator = make_estimator(by_path(path), "multiclass")
        X, others, signal, codes = encoded("one_hot")
        y = np.where(signal > 1, 3, 1)
        prediction = predict(fit(estimator, X, y, None, seed=0, categorical=codes), others, 5)
        assert prediction.chance.shape == (20, 5)
        assert (prediction.chance[:, [0, 2, 4]] == 0).all()
        assert prediction.chance.sum(axis=1) == pytest.approx(1)
        assert set(prediction.value.tolist()) <= {1, 3}


class Defiant(DummyClassifier):
    """Refuses every fit."""

    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("the moon is full\nand more")


class Mute(DummyClassifier):
    """Has no chances to give."""

    @property
    def predict_proba(self):
        raise AttributeError("no chances here")


class OutOfOrderError(Exception):
    """What somebody else's package raises."""


class Unsteady(DummyClassifier):
    """Has failures of its own."""

    def __init__(self, error=OutOfOrderError):
        super().__init__()
        self.error = error

    def predict_proba(self, X):
        raise self.error("out of order")


MADE = Unsteady()


class Told:
    """Says what it was told to; its `fit` returns nothing, and it has no word of its classes."""

    def __init__(self, answers):
        self.answers = answers

    def fit(self, X, y):
        self.count = len(y)

    def predict(self, X):
        return np.resize([0, 1], len(X))

    def predict_proba(self, X):
        return np.resize(np.array(self.answers, dtype=float), (len(X), len(self.answers)))


class Value(Told):
    """A regressor, or a classifier without chances, of this kind."""

    def predict(self, X):
        return np.resize(np.array(self.answers, dtype=float), len(X))


X4 = np.zeros((4, 1))


def test_probabilities_sum_to_1_and_a_model_may_be_silent_about_its_classes():
    estimator = make_estimator(by_path(f"{__name__}.Told", answers=[0.3, 0.7035]), "binary")
    prediction = predict(fit(estimator, X4, np.array([0, 1, 0, 1]), None, seed=0, categorical=()), X4, 2)
    assert prediction.chance.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert prediction.chance[0, 1] == pytest.approx(0.7035 / 1.0035)
    assert predict(Told([0.25, 0.75 + 1e-8]), X4, 2).chance[0, 1] == 0.75 + 1e-8, "a rounding is left as it is"


@pytest.mark.parametrize(
    ("model", "classes", "sentence"),
    [
        (Told([0.5, np.nan]), 2, "the answers for 4 of 4 rows are not finite"),
        (Told([0.9, 0.9]), 2, "the probabilities of a row sum to 1.8 instead of 1"),
        (Told([0.0, 0.0]), 2, "sum to 0 instead of 1"),
        (Told([1.2, -0.2]), 2, "a probability is -0.2, below zero"),
        (Told([0.5, 0.5]), 3, "probabilities are 4 x 2 numbers, not a column for each of 3 classes"),
        (Value([1.0, np.inf]), 0, "the answers for 2 of 4 rows are not finite"),
        (Value([np.nan, 1.0]), 2, "the answers for 2 of 4 rows are not finite"),
    ],
)
def test_answers_that_cannot_be_trusted_are_refused(model, classes, sentence):
    with pytest.raises(ValueError, match=sentence):
        predict(model, X4, classes)


@pytest.mark.parametrize("error", [OutOfOrderError, AssertionError, OSError, KeyError, AttributeError])
def test_whatever_a_model_raises_is_told_with_its_name(error):
    with pytest.raises(UserError, match=r"task.estimator: test_estimators.Unsteady cannot be fitted: .*out of order"):
        make_estimator(by_path(f"{__name__}.Unsteady", error=error), "binary")


@pytest.mark.parametrize(
    ("one", "task", "sentence"),
    [
        (by_path("no.such.Model"), "binary", "task.estimator: no.such.Model cannot be imported"),
        (spec("logistic_regression"), "regression", "task.estimator: logistic_regression cannot do .*; take ridge"),
        (spec("ridge"), "binary", "task.estimator: ridge cannot do binary; take logistic_regression"),
        (by_path("sklearn.linear_model.LinearRegression"), "binary", "gives no class probabilities"),
        (by_path(f"{__name__}.Mute"), "binary", "gives no class probabilities"),
        (by_path(f"{__name__}.Defiant"), "binary", "cannot be fitted: the moon is full$"),
        (spec("logistic_regression", C=-1.0), "binary", "task.estimator: logistic_regression cannot be fitted: .*'C'"),
        (spec("random_forest", max_features="most"), "binary", "cannot be fitted"),
        (spec("ridge", alfa=1.0), "regression", "task.estimator: .*alfa"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_in_a_sentence(one, task, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        make_estimator(one, task)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (spec("randomforest"), "unknown estimator 'randomforest'; did you mean 'random_forest'"),
        (spec("random_forest", n_estimator=3), "unknown setting of random_forest 'n_estimator'; did you mean"),
        (by_path(f"{__name__}.Defiant.x"), "cannot be imported .*; install it, e.g. pip install test_estimators$"),
        (by_path("bad_syntax.Model"), r"bad_syntax.Model cannot be imported \(SyntaxError: .*\)$"),
        (by_path("bad_start.Model"), r"bad_start.Model cannot be imported \(OSError: no licence\)$"),
        (by_path(f"{__name__}.MADE"), "is a model already; name its class"),
        (by_path("LogisticRegression"), "is no import path; write it as package.module.Class"),
        (by_path("sklearn.linear_model.Logistic"), "does not exist: sklearn.linear_model has no Logistic"),
        (by_path("no_such_package.Model"), "cannot be imported .* pip install no_such_package; .* PYTHONPATH"),
        (by_path("sklearn.preprocessing.StandardScaler"), "has no predict method; an estimator has fit and predict"),
    ],
)
def test_names_and_settings_are_checked_before_a_run(one, sentence, tmp_path, monkeypatch):
    (tmp_path / "bad_syntax.py").write_text("class Model\n")
    (tmp_path / "bad_start.py").write_text("raise OSError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=sentence):
        check_estimator(one)


def test_values_to_tune_are_tried_on_as_many_rows_as_they_need():
    own = spec("knn", n_neighbors=100)
    knn = make_estimator(own, "regression")
    assert tuning_problems(knn, own, {"n_neighbors": (3, 500), "weights": ("uniform", None)}) == []
    found = tuning_problems(knn, own, {"n_neighbors": (3, "five", -1), "weights": ("distance", "near")})
    assert [p.path[2:] for p in found] == [("n_neighbors", 1), ("n_neighbors", 2), ("weights", 1)]
    assert found[0].message.startswith("knn cannot be fitted with 'five': ")


def test_good_names_pass():
    for name in INSTALLED:
        check_estimator(spec(name))
    check_estimator(by_path("sklearn.linear_model.LogisticRegression", C=2.0))


@pytest.mark.parametrize("name", sorted(OPTIONAL - set(INSTALLED)))
def test_a_library_that_is_not_installed_is_named(name):
    with pytest.raises(ValueError, match=f"pip install {name}"):
        check_estimator(spec(name))
    with pytest.raises(UserError, match=f"pip install {name}"):
        make_estimator(spec(name), "binary")


def test_own_settings_win_over_ours():
    estimator = make_estimator(spec("random_forest", random_state=7, n_jobs=2), "binary")
    model = estimator.build(99, ())
    assert (model.random_state, model.n_jobs) == (7, 2)
    model = make_estimator(spec("random_forest"), "binary").build(99, ())
    assert (model.random_state, model.n_jobs) == (99, 1)
    assert estimator.with_params({"n_estimators": 3}).build(0, ()).n_estimators == 3


def test_boosting_is_told_of_the_codes():
    estimator = make_estimator(spec("hist_gradient_boosting"), "binary")
    assert estimator.build(0, (0, 2)).categorical_features == [0, 2]
    assert estimator.build(0, ()).categorical_features == "from_dtype"


def test_predict_is_silent_and_flat():
    X = np.random.default_rng(0).normal(size=(20, 2))
    prediction = predict(LinearRegression().fit(X, X[:, :1]), X, 0)
    assert prediction.chance is None
    assert prediction.value.shape == (20,)


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n in INSTALLED])
def test_tuning_draws(name):
    draws = tuning_draws(tuning_space(spec(name)), 6, 3)
    assert draws[0] == {}
    assert len(draws) == 7
    assert all(d not in draws[:i] for i, d in enumerate(draws))
    assert draws == tuning_draws(tuning_space(spec(name)), 6, 3)
    assert draws != tuning_draws(tuning_space(spec(name)), 6, 4)
    fixed = next(iter(ESTIMATORS[name].space))
    one = EstimatorSpec(name=name, params={fixed: ESTIMATORS[name].space[fixed][0]})
    assert all(fixed not in d for d in tuning_draws(tuning_space(one), 6, 3)), "what the recipe sets is not tuned"


def test_tuning_needs_a_known_space():
    unknown = by_path("sklearn.naive_bayes.GaussianNB")
    assert tuning_space(unknown) == {}
    assert tuning_draws({}, 6, 0) == [{}]
    assert tuning_space(unknown, {"var_smoothing": (1e-9, 1e-6)}) == {"var_smoothing": (1e-9, 1e-6)}


@pytest.mark.parametrize("name", [n for n in INSTALLED if n != "mlp"])
def test_every_drawn_setting_can_be_fitted(name):
    task = "binary" if ESTIMATORS[name].classifier else "regression"
    estimator = make_estimator(spec(name), task)
    X, _, signal, codes = encoded(estimator.encoding)
    y = (signal > 1).astype(int) if task == "binary" else signal
    for draw in tuning_draws(tuning_space(spec(name)), 3, 0):
        model = fit(estimator.with_params({**draw, **QUICK.get(name, {})}), X, y, None, seed=0, categorical=codes)
        found = predict(model, X, 2 if task == "binary" else 0)
        assert np.isfinite(found.value if found.chance is None else found.chance).all()
