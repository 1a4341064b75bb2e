"""A teacher that is too sure is told so by rows that it has not seen; one that is right is left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.estimators import Estimator
from curator.score.calibration import AS_IT_IS, Calibration, fit_calibration
from curator.score.candidates import TrainingRows
from curator.score.choice import ChoiceTask, choose_teacher, fit_teacher
from curator.score.regional import first_region, losses_of
from curator.score.teacher import Faculty, Teacher

NAIVE = Estimator("naive", "sklearn.naive_bayes.GaussianNB", (), "one_hot", True, "binary")


def drawn(n, seed, classes=2):
    """Return true probabilities and labels that are drawn from them."""
    rng = np.random.default_rng(seed)
    chance = rng.dirichlet(np.full(classes, 0.7), n)
    return chance, (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)


def powered(chance, power):
    return chance**power / (chance**power).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("power", [0.4, 3.0])
def test_the_power_is_found_and_undone(classes, power):
    chance, y = drawn(1500, 0, classes)
    found = fit_calibration(y, np.ones(1500), powered(chance, power))
    assert found.slope == pytest.approx(1 / power, rel=0.2)
    fresh, unseen = drawn(4000, 1, classes)
    after = found.of(powered(fresh, power))
    assert after.sum(axis=1) == pytest.approx(1)
    assert losses_of(unseen, after).mean() < losses_of(unseen, powered(fresh, power)).mean() - 0.02


@pytest.mark.parametrize("seed", range(10))
def test_what_is_right_is_left_alone(seed):
    chance, y = drawn(400, seed, 3)
    found = fit_calibration(y, np.ones(400), chance)
    assert found == AS_IT_IS
    assert found.of(chance) is chance


def test_sure_mistakes_become_doubts():
    chance = np.tile([1.0, 0.0], (100, 1))
    y = np.zeros(100, dtype=int)
    y[:20] = 1
    after = fit_calibration(y, np.ones(100), chance).of(chance)
    assert 0.05 < after[0, 1] < 0.4


def test_a_class_without_rows_stays_as_unlikely_as_it_is():
    chance, y = drawn(800, 0)
    three = np.column_stack([powered(chance, 4.0), np.zeros(800)])
    found = fit_calibration(y, np.ones(800), three)
    assert found.absent == (2,)
    assert found.slope < 0.5
    assert (found.of(three)[:, 2] == 0).all()


def test_a_class_without_rows_keeps_its_share_where_a_model_gives_it_one():
    given = np.array([[0.40, 0.30, 0.29, 0.01], [0.5, 0.4999, 0.0, 0.0001]])
    for slope in (0.3, 2.0, 20.0):
        after = Calibration(slope, absent=(3,)).of(given)
        assert after[:, 3] == pytest.approx(given[:, 3])
        assert after.sum(axis=1) == pytest.approx(1)


def test_numbers_are_moved_along_a_line():
    rng = np.random.default_rng(0)
    y = rng.normal(50, 10, 600)
    guess = 50 + (y - 50) * 0.5 + rng.normal(0, 1, 600)
    found = fit_calibration(y, np.ones(600), guess)
    assert found.slope > 1.7
    assert ((y - found.of(guess)) ** 2).mean() < 0.4 * ((y - guess) ** 2).mean()
    assert fit_calibration(y, np.ones(600), y + rng.normal(0, 0.1, 600)) == AS_IT_IS
    assert fit_calibration(y, np.ones(600), np.full(600, 3.0)) == AS_IT_IS


def test_rows_of_a_group_count_once():
    # Predictions are right; forty copies of 25 rows seem to say otherwise.
    group = np.repeat(np.arange(25), 40)
    fooled = [0, 0]
    for seed in range(20):
        many = [np.repeat(part, 40, axis=0) for part in drawn(25, seed)]
        fooled[0] += fit_calibration(many[1], np.ones(1000), many[0]) != AS_IT_IS
        fooled[1] += fit_calibration(many[1], np.ones(1000), many[0], group) != AS_IT_IS
    assert fooled[0] >= 8
    assert fooled[1] <= 2


def test_without_weight_nothing_is_known():
    chance, y = drawn(50, 0)
    assert fit_calibration(y, np.zeros(50), chance) == AS_IT_IS


@pytest.fixture(scope="module")
def too_sure():
    """A table of one column eight times over, which a model that takes columns to be independent is too sure of."""
    rng = np.random.default_rng(0)
    y = np.arange(1200) % 2
    x = y + rng.normal(0, 1.2, 1200)
    rows = pd.DataFrame({f"x{k}": x + rng.normal(0, 0.01, 1200) for k in range(8)})
    return rows, y


@pytest.fixture(scope="module")
def bayes():
    return Faculty(library=False, models=((NAIVE, NAIVE.code),))


def test_a_model_of_ones_own_becomes_less_sure(too_sure, bayes):
    rows, y = too_sure
    learn, judge = slice(0, 400), slice(400, None)
    teacher = Teacher("binary", 2, (), 0, bayes)
    choice = teacher.choose(rows[learn], y[learn], np.ones(400))
    assert choice.calibration.slope < 0.5
    mild = teacher.train(rows[learn], y[learn], np.ones(400), choice).predict(rows[judge])
    plain = Teacher("binary", 2, (), 0, bayes)
    plain._calibration = AS_IT_IS
    sure = plain.train(rows[learn], y[learn], np.ones(400), type(choice)(choice.weights, choice.out_of_fold)).predict(
        rows[judge]
    )
    assert losses_of(y[judge], mild).mean() < 0.7 * losses_of(y[judge], sure).mean()
    assert (mild.argmax(axis=1) == sure.argmax(axis=1)).all()


class Overheard(Teacher):
    """Keeps what its ensemble says out of fold, before anything is made of it."""

    def _put_right(self, choice, mean, *rest):
        self.mean = mean
        return super()._put_right(choice, mean, *rest)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_region_that_is_wrong_does_not_make_the_others_unsure(seed, bayes):
    rng = np.random.default_rng(seed)
    x, site = rng.normal(size=(3, 900)), rng.choice(list("abcdefghij"), 900)
    y = (x[:2].sum(axis=0) + rng.normal(0, 0.7, 900) > 0).astype(int)
    y = np.where(site == "a", 1 - y, y)
    rows = pd.DataFrame({"x": x[0], "z": x[1], "w": x[2], "site": site})
    teacher = Overheard("binary", 2, ("site",), 0, bayes)
    choice = teacher.choose(rows, y, np.ones(900))
    outside = first_region(rows, choice.regions) < 0
    assert 0 < (~outside).sum() < 450
    everywhere = fit_calibration(y, np.ones(900), teacher.mean)
    assert choice.calibration == fit_calibration(y[outside], np.ones(int(outside.sum())), teacher.mean[outside])
    assert everywhere.slope < choice.calibration.slope, "the region asks for doubt"
    assert choice.out_of_fold[outside] == pytest.approx(choice.calibration.of(teacher.mean[outside]))
    assert teacher.train(rows, y, np.ones(900), choice)._calibration == choice.calibration


def test_a_choice_that_was_written_is_calibrated_alike(too_sure, bayes, tmp_path):
    rows, y = too_sure
    known = TrainingRows(rows, y, np.ones(len(y)), (), "binary", (0, 1))
    task = ChoiceTask(tmp_path / "choice", known, bayes, 0)
    choose_teacher(task)
    direct = task.teacher().fit(rows, y, np.ones(len(y)))
    assert direct._calibration.slope < 0.5
    assert fit_teacher(task).predict(rows) == pytest.approx(direct.predict(rows))


def test_the_built_in_ensemble_seldom_needs_any(real_rows):
    made = [real_rows(150, "binary", seed=seed) for seed in range(4)]
    taught = [Teacher("binary", 2, r.categorical, 0).choose(r.frame, r.y, np.ones(150)) for r in made]
    assert sum(choice.calibration != Calibration() for choice in taught) <= 1
