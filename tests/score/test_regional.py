"""Regions in which a teacher is wrong: found, put right by rows that judge nothing, and left alone where none is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.rare import AllOf, Term
from curator.score import teacher as module
from curator.score.candidates import TrainingRows
from curator.score.choice import ChoiceTask, choose_teacher, fit_teacher, hardness
from curator.score.regional import (
    corrected,
    corrected_by_others,
    first_region,
    fit_correction,
    is_better,
    losses_of,
)
from curator.score.teacher import Faculty, Teacher

ANYWHERE = AllOf((Term("x"),))
EDGE = AllOf((Term("x", low=0.9), Term("site", word="a")))


def chances(p):
    return np.column_stack([1 - np.asarray(p), p])


@pytest.mark.parametrize("n", [12, 200])
def test_labels_that_are_the_other_way_round_turn_the_slope(n):
    rng = np.random.default_rng(0)
    p = np.where(rng.random(n) < 0.5, 0.05, 0.95)
    y = (p < 0.5).astype(int)
    found = fit_correction(ANYWHERE, y, np.ones(n), chances(p))
    assert found.slope < 0
    assert (found.of(chances(p)).argmax(axis=1) == y).all()


def test_predictions_that_are_right_stay_nearly_as_they_are():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 4000)
    y = (rng.random(4000) < p).astype(int)
    after = fit_correction(ANYWHERE, y, np.ones(4000), chances(p)).of(chances(p))
    assert np.abs(after[:, 1] - p).max() < 0.05
    assert not is_better(y, np.ones(4000), chances(p), after)


def test_a_class_that_is_too_unlikely_is_moved_up():
    chance = np.tile([0.8, 0.15, 0.05], (60, 1))
    y = np.repeat([0, 1, 2], 20)
    after = fit_correction(ANYWHERE, y, np.ones(60), chance).of(chance)
    assert after[0] == pytest.approx([1 / 3] * 3, abs=0.06)
    assert after.sum(axis=1) == pytest.approx(1)


def test_the_prior_outweighs_one_row():
    before = chances([0.95])
    after = fit_correction(ANYWHERE, np.array([0]), np.ones(1), before).of(before)
    assert 0.05 < after[0, 0] < 0.9


def test_numbers_are_moved_and_held_back():
    guess = np.linspace(10, 20, 50)
    found = fit_correction(ANYWHERE, guess + 5, np.ones(50), guess)
    assert found.slope == pytest.approx(1)
    assert found.shift[0] == pytest.approx(5 * 50 / 51)
    turned = fit_correction(ANYWHERE, 30 - guess, np.ones(50), guess).of(guess)
    assert np.corrcoef(turned, guess)[0, 1] == pytest.approx(-1)
    assert losses_of(30 - guess, turned).mean() < 0.1 * losses_of(30 - guess, guess).mean()


def test_weights_count_as_rows():
    p, y = np.array([0.9, 0.2, 0.6, 0.7]), np.array([0, 1, 0, 1])
    twice = np.array([0, 1, 1, 2, 3, 3])
    weight = np.array([1.0, 2.0, 1.0, 2.0])
    one = fit_correction(ANYWHERE, y, weight, chances(p))
    other = fit_correction(ANYWHERE, y[twice], np.ones(6), chances(p[twice]))
    # The same rows count alike; the prior counts as much of four rows as of six.
    assert np.sign(one.slope - 1) == np.sign(other.slope - 1)


def test_no_row_corrects_itself():
    """One row in a fold of its own that says the opposite of all others is corrected as these say."""
    p = np.full(21, 0.05)
    y = np.append(np.ones(20, dtype=int), 0)
    found = corrected_by_others(ANYWHERE, y, np.ones(21), chances(p), None)
    assert found[-1, 1] > 0.7
    alone = fit_correction(ANYWHERE, y, np.ones(21), chances(p)).of(chances(p))
    assert found[-1, 1] > alone[-1, 1]


def test_rows_of_a_group_do_not_correct_each_other():
    rng = np.random.default_rng(2)
    n = 40
    group = np.repeat(np.arange(2), n // 2)
    y = group.copy()
    p = rng.uniform(0.4, 0.6, n)
    found = corrected_by_others(ANYWHERE, y, np.ones(n), chances(p), group)
    # Each group hears of the other alone, which has the other class throughout.
    assert ((found[:, 1] > 0.5).astype(int) != y).mean() > 0.9


def test_the_first_region_counts():
    rows = pd.DataFrame({"x": [0.1, 0.95, 0.95], "site": ["a", "a", "b"]})
    assert first_region(rows, [EDGE, ANYWHERE]).tolist() == [1, 0, 1]
    assert first_region(rows, [EDGE]).tolist() == [-1, 0, -1]
    turned = fit_correction(EDGE, np.array([0] * 9), np.ones(9), chances([0.99] * 9))
    after = corrected(chances([0.99] * 3), rows, [turned])
    assert after[[0, 2], 1].tolist() == [0.99, 0.99]
    assert after[1, 1] < 0.5


def edge_case(n, seed, task="binary"):
    """Return rows whose target goes with the load, and the other way round in a corner; and which are in the corner."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"load": rng.random(n), "x": rng.random(n), "site": rng.choice(["a", "b", "c"], n)})
    corner = ((rows["x"] > 0.9) & (rows["site"] == "a")).to_numpy()
    load = np.where(corner, 1 - rows["load"], rows["load"])
    y = (load > 0.5).astype(int) if task == "binary" else 10 * load + rng.normal(0, 0.1, n)
    return rows, y, corner


@pytest.fixture
def quick(monkeypatch):
    """Leave the teacher linear models alone, which cannot see a corner."""
    whole = module.library
    monkeypatch.setattr(module, "library", lambda task: [m for m in whole(task) if m.name == "linear"])


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_teacher_that_cannot_see_a_corner_is_put_right_there(quick, task):
    rows, y, _ = edge_case(1200, 0, task)
    teacher = Teacher(task, 2 if task == "binary" else 0, ("site",), 0).fit(rows, y, np.ones(len(y)))
    assert teacher.corrections
    fresh, truth, corner = edge_case(6000, 1, task)
    after, before = teacher.predict(fresh), teacher._ensemble(fresh)
    inside = losses_of(truth, after)[corner].mean()
    assert inside < 0.5 * losses_of(truth, before)[corner].mean()
    # A bound lies between two rows, and may take in a few that are on the other side of it.
    assert losses_of(truth, after)[~corner].mean() < losses_of(truth, before)[~corner].mean() + 0.05


def test_without_a_corner_nothing_is_corrected(quick):
    for seed in range(5):
        rows, y, corner = edge_case(1200, seed)
        rows, y = rows[~corner].reset_index(drop=True), y[~corner]
        noise = np.random.default_rng(seed).random(len(y)) < 0.1
        teacher = Teacher("binary", 2, ("site",), 0).fit(rows, y ^ noise, np.ones(len(y)))
        assert teacher.corrections == ()


def test_labels_of_chance_have_no_regions(quick):
    """Out of fold, predictions of labels that nothing explains must not look better than they are."""
    for seed in range(5):
        rows, y, _ = edge_case(1200, seed)
        y = np.random.default_rng(seed).permutation(y)
        teacher = Teacher("binary", 2, ("site",), 0).fit(rows, y, np.ones(len(y)))
        assert losses_of(y, teacher.out_of_fold).mean() > 0.68


def test_what_is_chosen_is_read_again(quick, tmp_path):
    rows, y, corner = edge_case(1200, 0)
    known = TrainingRows(rows, y, np.ones(len(y)), ("site",), "binary", ("no", "yes"))
    task = ChoiceTask(tmp_path / "choice", known, Faculty(), 0)
    fresh = edge_case(500, 3)[0]
    direct = fit_teacher(task).predict(fresh)
    choose_teacher(task)
    again = fit_teacher(task)
    assert again.corrections
    assert again.predict(fresh) == pytest.approx(direct)
    # Where it is put right, rows of the corner are no longer the hard ones.
    assert hardness(task)[corner].mean() < 0.4
