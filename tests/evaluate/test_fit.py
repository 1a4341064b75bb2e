"""One arm on one fold: what it trains on, and how it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from curator.errors import CuratorError
from curator.evaluate import Arm, FitTask, Prediction, find_metric, make_estimator, run_fit, training_rows
from curator.evaluate import fit as module
from curator.recipe import EstimatorSpec
from curator.records import MixPlan
from curator.score.candidates import BALANCING
from curator.score.pool import Pool

LOGISTIC = EstimatorSpec(name="logistic_regression")


def make_pool(n: int = 60, counts: tuple[int, ...] = (45, 15), seed: int = 0, **changes) -> Pool:
    """Return a pool whose candidates carry their number, with rows that even out the classes at the end."""
    rng = np.random.default_rng(seed)
    k = len(counts)
    y = np.repeat(np.arange(k), counts)
    n = len(y)
    labels = np.concatenate([rng.integers(0, k, 40), *(np.full(max(counts) - c, i) for i, c in enumerate(counts))])
    source = np.repeat([0, 1], [40, len(labels) - 40]).astype(np.int16)
    m = len(labels)
    prediction = rng.dirichlet(np.ones(k), m)
    given = {
        "X": rng.normal(size=(n, 2)) + y[:, None], "X_valid": rng.normal(size=(200, 2)) + np.arange(200)[:, None] % k,
        "X_candidates": rng.normal(size=(m, 2)) + 100 + np.arange(m)[:, None], "y": y, "y_valid": np.arange(200) % k,
        "weight": np.ones(n), "weight_valid": np.ones(200), "labels": labels, "source": source,
        "prediction": prediction, "uniform": rng.random(m), "sources": ("a", BALANCING), "n_classes": k,
        "categorical": (), "scores": {"realism": rng.random(m)},
    }  # fmt: skip
    return Pool(**{**given, **changes})


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run an arm on a pool that is not on disk."""

    def of(pool, arm, metrics=("log_loss",), spec=LOGISTIC, form="weighted", **changes):
        monkeypatch.setattr(module, "load_pool", lambda _: pool)
        estimator = make_estimator(spec, "binary" if pool.n_classes == 2 else "multiclass")
        return run_fit(FitTask(tmp_path / "r0f3", arm, estimator, tuple(metrics), form, 0, **changes))

    return of


# --- training rows --------------------------------------------------------------------------------


def test_as_many_copies_as_rows_keep_their_labels():
    """Rows that count twice may make up for others that count for nothing."""
    n, many = 102, 0
    for seed in range(60):
        weight = np.random.default_rng(seed).choice([0.5, 1.0, 1.5], n)
        number = np.arange(n)
        X = np.column_stack([number, number]).astype(float)
        pool = make_pool(counts=(51, 51), X=X, weight=weight, y=number % 2)
        X, y, _, counts = training_rows(pool, Arm("real_only"), "weighted", weights=False, seed=0)
        assert np.array_equal(X[:, 0].astype(int) % 2, y)
        many += counts["real"] == n and len(np.unique(X[:, 0])) < n
    assert many


def test_real_only_is_the_real_rows_without_weights():
    pool = make_pool()
    X, y, weight, counts = training_rows(pool, Arm("real_only"), "weighted", weights=True, seed=0)
    assert np.array_equal(X, pool.X)
    assert np.array_equal(y, pool.y)
    assert weight is None
    assert counts == {"real": 60, "synthetic": 0}


def test_weights_that_are_alike_are_kept_unless_they_are_1():
    """Beside rows of weight 50 a penalty is smaller: for real rows alone as for a mix."""
    pool = make_pool(weight=np.full(60, 50.0))
    weight = training_rows(pool, Arm("real_only"), "weighted", weights=True, seed=0)[2]
    assert set(weight) == {50.0}


def test_a_mix_is_real_rows_then_candidates():
    pool = make_pool()
    arm = Arm("mix", MixPlan((("a", 0.5),), synthetic_weight=0.4))
    X, y, weight, counts = training_rows(pool, arm, "weighted", weights=True, seed=0)
    made = len(y) - 60
    assert 0 < made <= 30
    assert counts == {"real": 60, "synthetic": made}
    assert np.array_equal(X[:60], pool.X)
    which = [int(np.flatnonzero((pool.X_candidates == row).all(axis=1))[0]) for row in X[60:]]
    assert np.array_equal(y[60:], pool.labels[which])
    assert (pool.source[which] == 0).all()
    assert weight.tolist() == [1.0] * 60 + [0.4] * made


def test_soft_labels_count_a_candidate_once():
    pool = make_pool()
    arm = Arm("soft", MixPlan((("a", 9.0),), "relabel"))
    _, y, weight, counts = training_rows(pool, arm, "weighted", weights=True, seed=0)
    assert counts["synthetic"] == 40
    assert len(y) > 100
    assert weight[60:].sum() == pytest.approx(40)


def test_oversampling_evens_out_the_classes_with_real_rows():
    pool = make_pool(counts=(40, 15, 5))
    X, y, weight, counts = training_rows(pool, Arm("o", special="oversampling"), "weighted", weights=True, seed=0)
    assert np.bincount(y).tolist() == [40, 40, 40]
    assert counts["synthetic"] == 0
    assert weight is None
    for row, label in zip(X, y, strict=True):
        own = np.flatnonzero((row == pool.X).all(axis=1))
        assert pool.y[own].tolist() == [label]
    assert all((row == X).all(axis=1).any() for row in pool.X), "every real row is there"
    again = training_rows(pool, Arm("o", special="oversampling"), "weighted", weights=True, seed=0)[0]
    other = training_rows(pool, Arm("o", special="oversampling"), "weighted", weights=True, seed=1)[0]
    assert np.array_equal(X, again)
    assert not np.array_equal(X, other)


def test_oversampling_keeps_the_weights_of_its_rows():
    pool = make_pool(weight=np.linspace(1, 3, 60))
    X, y, weight, _ = training_rows(pool, Arm("o", special="oversampling"), "weighted", weights=True, seed=0)
    own = {tuple(row): w for row, w in zip(pool.X, pool.weight, strict=True)}
    ratio = weight / np.array([own[tuple(row)] for row in X])
    for label in (0, 1):
        assert np.ptp(ratio[y == label]) == pytest.approx(0), "one factor a class"
    assert np.bincount(y, weights=weight) == pytest.approx([weight.sum() / 2] * 2), "so that classes weigh alike"
    assert training_rows(pool, Arm("o", special="oversampling"), "weighted", weights=False, seed=0)[2] is None


def test_smote_evens_out_the_classes_with_its_rows():
    pool = make_pool(counts=(40, 15, 5))
    X, y, weight, counts = training_rows(pool, Arm("s", special="smote"), "weighted", weights=True, seed=0)
    assert np.bincount(y).tolist() == [40, 40, 40]
    assert counts == {"real": 60, "synthetic": 60}
    assert weight is None
    assert np.array_equal(X[60:], pool.X_candidates[pool.source == 1])


def test_smote_rows_weigh_like_the_average_real_row():
    pool = make_pool(weight=np.linspace(1, 3, 60))
    _, y, weight, counts = training_rows(pool, Arm("s", special="smote"), "weighted", weights=True, seed=0)
    assert np.ptp(weight[60:]) == pytest.approx(0)
    assert weight[60] / weight[59] == pytest.approx(2.0 / 3.0), "the mean weight beside the last real row's"
    assert np.bincount(y, weights=weight) == pytest.approx([weight.sum() / 2] * 2)
    assert counts["synthetic"] == 30


def test_without_weights_rows_are_copied():
    pool = make_pool()
    arm = Arm("w", MixPlan(rare_exponent=1.0))
    _, y, weight, counts = training_rows(pool, arm, "weighted", weights=False, seed=0)
    assert weight is None
    assert np.bincount(y).tolist() == [45, 45]
    assert counts["real"] == 90


# --- fit and judge --------------------------------------------------------------------------------


def test_scores_are_the_metrics_of_the_prediction(run):
    pool = make_pool(weight_valid=np.linspace(1, 2, 200))
    names = ("roc_auc", "log_loss", "f1")
    result = run(pool, Arm("real_only"), names, keep_prediction=True)
    assert list(result.scores) == list(names)
    for name in names:
        assert result.scores[name] == find_metric(name)(pool.y_valid, result.prediction, pool.weight_valid)
    assert result.scores["roc_auc"] > 0.7
    assert run(pool, Arm("real_only")).prediction is None
    assert result.rows == {"real": 60, "synthetic": 0}


def test_nothing_to_judge_by_gives_no_scores(run):
    pool = make_pool(y_valid=np.empty(0), weight_valid=np.empty(0))
    pool = replace(pool, X_valid=pool.X[:1])
    assert run(pool, Arm("real_only")).scores == {}


def test_settings_of_an_arm_replace_the_recipe_s(run):
    pool = make_pool()
    loose, tight = (run(pool, Arm("t", params=(("C", c),)), keep_prediction=True) for c in (10.0, 1e-4))
    assert np.ptp(tight.prediction.chance[:, 1]) < 0.1 < np.ptp(loose.prediction.chance[:, 1])


def test_a_threshold_moves_labels_and_leaves_chances(run):
    pool = make_pool(counts=(90, 10))
    plain = run(pool, Arm("real_only"), ("balanced_accuracy",), keep_prediction=True)
    moved = run(pool, Arm("t", special="threshold"), ("balanced_accuracy",), keep_prediction=True)
    assert np.array_equal(plain.prediction.chance, moved.prediction.chance)
    assert moved.prediction.value.sum() > plain.prediction.value.sum(), "the rare class is called more often"
    assert moved.scores["balanced_accuracy"] > plain.scores["balanced_accuracy"] + 0.05
    called, left = (moved.prediction.chance[moved.prediction.value == v, 1] for v in (1, 0))
    assert called.min() > left.max(), "one threshold"


def test_a_threshold_is_chosen_without_the_rows_that_judge(run):
    pool = make_pool(counts=(90, 10))
    moved = run(pool, Arm("t", special="threshold"), ("f1",), keep_prediction=True)
    other = replace(pool, y_valid=1 - pool.y_valid)
    again = run(other, Arm("t", special="threshold"), ("f1",), keep_prediction=True)
    assert np.array_equal(moved.prediction.value, again.prediction.value)


@pytest.mark.parametrize(
    ("changes", "weightless"),
    [({"group": np.arange(60) // 4}, False), ({"weight": np.repeat([1.0, 2.0], 30)}, True)],
    ids=["rows of a group", "copies of a row"],
)
def test_a_threshold_is_chosen_out_of_fold(run, monkeypatch, changes, weightless):
    """What belongs together never stands on both sides of an inner fold, nor do copies of one row."""
    number = np.arange(60)
    pool = make_pool(counts=(30, 30), X=np.column_stack([number, number]).astype(float), y=number % 2, **changes)
    unit = (lambda X: X[:, 0] // 4) if "group" in changes else (lambda X: X[:, 0])
    learned, sides = [], []
    fit, predict = module.fit, module.predict
    monkeypatch.setattr(module, "fit", lambda e, X, *a, **k: learned.append(unit(X)) or fit(e, X, *a, **k))
    monkeypatch.setattr(module, "predict", lambda m, X, k: sides.append((learned[-1], unit(X))) or predict(m, X, k))
    spec = EstimatorSpec(name="knn") if weightless else LOGISTIC
    run(pool, Arm("t", special="threshold"), ("f1",), spec=spec)
    inner = sides[1:]
    assert len(inner) == 3
    assert all(len(judged) and not set(learn) & set(judged) for learn, judged in inner)


def test_a_threshold_is_judged_by_the_labels_it_gives():
    chance = np.column_stack([1 - np.linspace(0, 1, 8), np.linspace(0, 1, 8)])
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    at = [module._at(find_metric("accuracy"), y, chance, cut, np.ones(8)) for cut in (0.1, 0.4, 0.9)]
    direct = [(y == (chance[:, 1] >= cut)).mean() for cut in (0.1, 0.4, 0.9)]
    assert at == pytest.approx(direct)


def test_a_model_that_fails_is_named_with_its_arm_and_fold(run):
    # A linear model takes no missing values; its encoder would have filled them in.
    pool = make_pool()
    pool = replace(pool, X=np.where(pool.X > 1, np.nan, pool.X))
    sentence = r"logistic_regression failed on 60 rows \(real_only, fold r0f3\): "
    with pytest.raises(CuratorError, match=sentence) as caught:
        run(pool, Arm("real_only"))
    assert "\n" not in str(caught.value)


class Unsteady(DummyClassifier):
    """Fits a probe, and no more than that."""

    def __init__(self, error=KeyError):
        super().__init__()
        self.error = error

    def predict_proba(self, X):
        if len(X) == 200:
            raise self.error("out of order")
        return super().predict_proba(X)


@pytest.mark.parametrize("error", [KeyError, AttributeError, AssertionError, OSError])
def test_whatever_a_model_raises_is_a_failure_of_the_model(run, error):
    spec = EstimatorSpec.model_validate({"class": f"{__name__}.Unsteady", "params": {"error": error}})
    with pytest.raises(CuratorError, match=r"Unsteady failed on 60 rows \(real_only, fold r0f3\): .*out of order"):
        run(make_pool(), Arm("real_only"), spec=spec)


def test_same_task_same_scores(run):
    pool = make_pool()
    arm = Arm("mix", MixPlan((("a", 0.5),), "relabel", 0.3))
    spec = EstimatorSpec(name="extra_trees", params={"n_estimators": 5})
    assert run(pool, arm, spec=spec).scores == run(pool, arm, spec=spec).scores


@pytest.mark.parametrize("form", ["weighted", "sampled", "argmax"])
def test_forms_of_labels_reach_the_model(run, form):
    pool = make_pool()
    pool = replace(pool, prediction=np.tile([0.55, 0.45], (len(pool.labels), 1)))
    arm = Arm("soft", MixPlan((("a", 9.0),), "relabel"))
    result = run(pool, arm, form=form, keep_prediction=True)
    assert isinstance(result.prediction, Prediction)
    _, y, weight, _ = training_rows(pool, arm, form, weights=True, seed=0)
    share = np.average(y[60:], weights=None if weight is None else weight[60:])
    assert share == pytest.approx({"weighted": 0.45, "argmax": 0.0, "sampled": 0.45}[form], abs=0.2)
