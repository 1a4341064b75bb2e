"""The teacher: honest out-of-fold predictions, and an ensemble no worse than its best member."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.errors import CuratorError
from curator.estimators import make_estimator
from curator.recipe import EstimatorSpec
from curator.score import teacher as module
from curator.score.teacher import Faculty, Teacher, library


class Watched(Teacher):
    """Keeps every member's out-of-fold guesses."""

    def _select(self, guesses, y, weight):
        self.guesses = guesses.copy()
        return super()._select(guesses, y, weight)


def _only(monkeypatch, *names):
    assert set(names) <= {m.name for m in library("binary")}
    monkeypatch.setattr(module, "library", lambda task: [m for m in library(task) if m.name in names])


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def taught(request, real_rows):
    rows = real_rows(80, request.param)
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[request.param]
    weight = np.random.default_rng(0).random(80) + 0.5
    teacher = Watched(request.param, classes, rows.categorical, 3).fit(rows.frame, rows.y, weight)
    return request.param, rows, weight, teacher


def test_form(taught, real_rows):
    task, rows, _, teacher = taught
    prediction = teacher.predict(real_rows(11, task, seed=5).frame)
    assert prediction.shape == ((11,) if task == "regression" else (11, int(rows.y.max()) + 1))
    assert teacher.out_of_fold.shape == (80, *prediction.shape[1:])
    for values in (prediction, teacher.out_of_fold):
        assert np.isfinite(values).all()
        if task != "regression":
            assert values.min() >= 0
            assert values.sum(axis=1) == pytest.approx(1)


def test_weights_sum_to_1(taught):
    task, _, _, teacher = taught
    assert sum(teacher.weights.values()) == pytest.approx(1)
    assert min(teacher.weights.values()) > 0
    assert set(teacher.weights) <= {m.name for m in library(task)}


def test_the_ensemble_is_no_worse_than_its_best_member(taught):
    _, rows, weight, teacher = taught
    losses = [teacher._loss(guess, rows.y, weight) for guess in teacher.guesses]
    assert teacher._loss(teacher.out_of_fold, rows.y, weight) <= min(losses) + 1e-12


def test_it_learns(taught, real_rows):
    task, rows, _, teacher = taught
    fresh = real_rows(300, task, seed=77)
    prediction = teacher.predict(fresh.frame)
    if task == "regression":
        assert np.corrcoef(prediction, fresh.y)[0, 1] > 0.9
    else:
        shares = np.bincount(rows.y) / len(rows.y)
        assert teacher._loss(prediction, fresh.y, np.ones(300)) < 0.6 * -np.log(shares[fresh.y]).mean()


def test_the_loss_is_weighted(taught):
    _, rows, weight, teacher = taught
    other = weight.copy()
    other[:10] *= 20
    assert teacher._loss(teacher.out_of_fold, rows.y, weight) != teacher._loss(teacher.out_of_fold, rows.y, other)


class Blank:
    """A regressor that has no answer: a mistake that the least of all losses must not hide."""

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return np.full(len(X), np.nan if len(X) != 60 else 0.0)


def test_a_model_without_answers_is_left_out_or_where_it_is_alone_an_error(real_rows, quick_teacher):
    rows, spec = real_rows(80, "regression"), EstimatorSpec.model_validate({"class": f"{__name__}.Blank"})
    models = ((make_estimator(spec, "regression"), ""),)
    both, weight = Teacher("regression", 0, rows.categorical, 3, Faculty(True, models)), np.ones(80)
    choice = both.choose(rows.frame, rows.y, weight)
    assert set(choice.weights) <= {"linear", "boosting_stumps"}
    said = "the teacher's test_teacher.Blank failed on 16 rows: the answers for 16 of 16 rows are not finite numbers"
    assert choice.left_out == (f"{said}; it is left out",)
    assert np.isfinite(choice.out_of_fold).all()
    with pytest.raises(CuratorError, match=said):
        Teacher("regression", 0, rows.categorical, 3, Faculty(False, models)).fit(rows.frame, rows.y, weight)


def test_library_is_diverse():
    for task in ("binary", "regression"):
        members = library(task)
        assert len({m.name for m in members}) == len(members) == 9
        assert {m.encoding for m in members} == {"ordinal", "one_hot"}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_out_of_fold_rows_were_not_seen(monkeypatch, task):
    # Nothing to learn, and a model that remembers: any row that was seen gives itself away.
    _only(monkeypatch, "extra_trees")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd"))
    y = rng.permutation(np.arange(200) % 2) if task == "binary" else rng.normal(size=200)
    teacher = Teacher(task, 2 if task == "binary" else 0, (), 0).fit(rows, y, np.ones(200))
    if task == "binary":
        assert (teacher.predict(rows).argmax(axis=1) == y).mean() > 0.98
        assert (teacher.out_of_fold.argmax(axis=1) == y).mean() < 0.6
    else:
        assert np.corrcoef(teacher.predict(rows), y)[0, 1] > 0.98
        assert np.corrcoef(teacher.out_of_fold, y)[0, 1] < 0.2


def test_out_of_fold_categories_were_not_seen(monkeypatch):
    # A word of its own for each row tells nothing of the others.
    _only(monkeypatch, "linear", "forest")
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(40) % 2)
    rows = pd.DataFrame({"w": [f"w{i}" for i in range(40)]}).astype(object)
    teacher = Teacher("binary", 2, ("w",), 0).fit(rows, y, np.ones(40))
    assert abs(teacher.out_of_fold[:, 1] - 0.5).max() < 0.1


def test_a_class_of_two_rows(real_rows):
    rows = real_rows(60)
    y = rows.y.copy()
    y[[3, 40]] = 2
    teacher = Teacher("multiclass", 3, rows.categorical, 0).fit(rows.frame, y, np.ones(60))
    assert teacher.out_of_fold.shape == (60, 3)
    assert teacher.out_of_fold.sum(axis=1) == pytest.approx(1)
    assert teacher.predict(rows.frame)[[3, 40], 2].min() > 0


def test_a_class_without_rows_has_no_chance(quick_teacher, real_rows):
    rows = real_rows(50)
    teacher = Teacher("multiclass", 4, rows.categorical, 0).fit(rows.frame, rows.y * 2, np.ones(50))
    prediction = teacher.predict(rows.frame)
    assert prediction.shape == (50, 4)
    assert (prediction[:, [1, 3]] == 0).all()
    assert prediction.sum(axis=1) == pytest.approx(1)


def test_many_classes_of_few_rows(quick_teacher):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 3)
    rows = pd.DataFrame({"a": y + rng.normal(0, 0.1, 30)})
    teacher = Teacher("multiclass", 10, (), 0).fit(rows, y, np.ones(30))
    assert teacher.predict(rows).shape == (30, 10)


def test_two_rows_a_class_in_all(quick_teacher):
    rows = pd.DataFrame({"a": np.arange(8.0)})
    teacher = Teacher("binary", 2, (), 0).fit(rows, np.repeat([0, 1], [6, 2]), np.ones(8))
    assert np.isfinite(teacher.predict(rows)).all()


def test_same_seed_same_teacher(monkeypatch, real_rows):
    _only(monkeypatch, "extra_trees")
    rows = real_rows(40)

    def predictions(seed):
        teacher = Teacher("binary", 2, rows.categorical, seed).fit(rows.frame, rows.y, np.ones(40))
        return teacher.out_of_fold, teacher.predict(rows.frame)

    for one, same, other in zip(predictions(1), predictions(1), predictions(2), strict=True):
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)


def test_predictions_are_row_by_row(quick_teacher, real_rows):
    rows, others = real_rows(60), real_rows(9, seed=6).frame
    teacher = Teacher("binary", 2, rows.categorical, 0).fit(rows.frame, rows.y, np.ones(60))
    assert teacher.predict(others)[4:6] == pytest.approx(teacher.predict(others.iloc[4:6]))


def test_a_column_with_hardly_any_value(quick_teacher, real_rows):
    # One value in all: four of five inner folds learn from it, one has nothing but missing values there.
    rows = real_rows(60)
    frame = rows.frame.assign(sparse=np.r_[1.5, np.full(59, np.nan)])
    teacher = Teacher("binary", 2, rows.categorical, 0).fit(frame, rows.y, np.ones(60))
    assert np.isfinite(teacher.predict(frame)).all()


def test_rows_of_a_group_are_never_on_both_sides(real_rows):
    rows = real_rows(60, "binary")
    group = np.arange(60) // 4
    folds = Teacher("binary", 2, rows.categorical, 0)._inner_folds(rows.y, group)
    assert len(folds) > 1
    assert sorted(np.concatenate([judge for _, judge in folds])) == list(range(60))
    for learn, judge in folds:
        assert not set(group[learn]) & set(group[judge])


def test_twins_in_a_group_give_nothing_away():
    """Each row is there twice, with a label that is noise: only who ignores the group believes to know it."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(60, 4)), 2, axis=0), np.repeat(rng.integers(0, 2, 60), 2)
    rows, weight = pd.DataFrame(x, columns=list("abcd")), np.ones(120)

    def loss(group):
        found = Teacher("binary", 2, (), 0).fit(rows, y, weight, group)
        return found._loss(found.out_of_fold, y, weight)

    assert loss(np.repeat(np.arange(60), 2)) > 0.65
    assert loss(None) < 0.6


def test_with_many_rows_hopeless_models_are_tried_on_one_fold_only(real_rows, monkeypatch):
    rows = real_rows(1600, "binary")
    weight, fitted = np.ones(1600), {}

    class Counting(Watched):
        def _fit(self, member, *rest):
            fitted[member.name] = fitted.get(member.name, 0) + 1
            return super()._fit(member, *rest)

    choices = {}
    monkeypatch.setattr(module, "high_loss_regions", lambda *_: [])  # what is looked at there is fitted once more
    for least in (module.RACE_FROM_ROWS, 10**9):
        monkeypatch.setattr(module, "RACE_FROM_ROWS", least)
        fitted.clear()
        teacher = Counting("binary", 2, rows.categorical, 3)
        choices[least] = teacher.choose(rows.frame, rows.y, weight)
        assert set(fitted) == {m.name for m in library("binary")}
        assert set(fitted.values()) == ({1, 3} if least < 1600 else {3})
        out = choices[least].out_of_fold
        assert out.sum(axis=1) == pytest.approx(1), "dropped models take no part in what is out of fold"
    raced, whole = (teacher._loss(c.out_of_fold, rows.y, weight) for c in choices.values())
    assert raced == pytest.approx(whole, rel=0.01)
