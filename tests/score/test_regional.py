"""Regions in which a teacher is wrong: found, put right by rows that judge nothing, and left alone where none is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from curator.errors import CuratorError
from curator.rare import AllOf, Term, drawn_in, high_loss_regions
from curator.score import teacher as module
from curator.score.candidates import TrainingRows
from curator.score.choice import ChoiceTask, choose_teacher, fit_teacher, hardness
from curator.score.regional import (
    Correction,
    corrected,
    corrected_by_others,
    first_region,
    fit_correction,
    is_better,
    losses_of,
)
from curator.score.teacher import Choice, Faculty, Member, Teacher

ANYWHERE = AllOf((Term("x"),))
EDGE = AllOf((Term("x", low=0.9), Term("site", word="a")))


def chances(p):
    return np.column_stack([1 - np.asarray(p), p])


# --- what is made of predictions ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 200])
def test_labels_that_are_the_other_way_round_are_turned(n):
    rng = np.random.default_rng(0)
    p = np.where(rng.random(n) < 0.5, 0.05, 0.95)
    y = (p < 0.5).astype(int)
    after = fit_correction(y, np.ones(n), chances(p))(chances(p))
    assert (after.argmax(axis=1) == y).all()


def test_predictions_that_are_right_stay_nearly_as_they_are():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 4000)
    y = (rng.random(4000) < p).astype(int)
    after = fit_correction(y, np.ones(4000), chances(p))(chances(p))
    assert np.abs(after[:, 1] - p).max() < 0.05
    assert not is_better(y, np.ones(4000), chances(p), after)


def test_of_several_classes_each_becomes_what_its_rows_are():
    n, classes = 200, 20
    was = np.random.default_rng(2).integers(0, 10, n)
    before = np.full((n, classes), 0.0005)
    before[np.arange(n), was] += 0.99
    y = (was + 1) % 10
    after = fit_correction(y, np.ones(n), before)(before)
    assert after[np.arange(n), y].mean() > 0.9
    assert after.sum(axis=1) == pytest.approx(1)
    assert after[:, 10:].sum(axis=1).max() < 0.02, "classes that nothing speaks for stay unlikely"


def test_the_prior_outweighs_one_row():
    for before in (chances([0.95]), np.array([[0.03, 0.95, 0.02]])):
        after = fit_correction(np.array([0]), np.ones(1), before)(before)
        assert 0.1 < after[0, 0] < 0.9


def test_numbers_are_moved_and_held_back():
    guess = np.linspace(10, 20, 50)
    assert fit_correction(guess + 5, np.ones(50), guess)(guess) == pytest.approx(guess + 5 * 50 / 51)
    turned = fit_correction(30 - guess, np.ones(50), guess)(guess)
    assert np.corrcoef(turned, guess)[0, 1] == pytest.approx(-1)
    assert losses_of(30 - guess, turned).mean() < 0.1 * losses_of(30 - guess, guess).mean()


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_rows_of_no_weight_have_no_say(classes):
    rng = np.random.default_rng(3)
    n = 60
    before = rng.normal(size=n) if classes == 0 else rng.dirichlet(np.ones(classes), n)
    y = rng.normal(size=n) if classes == 0 else rng.integers(0, classes, n)
    weight = (np.arange(n) < 30).astype(float)
    own = fit_correction(y[:30], np.ones(30), before[:30])(before)
    # The prior counts as much beside thirty rows as beside sixty of which half weigh nothing, each weighing twice.
    assert fit_correction(y, weight / 2, before)(before) == pytest.approx(
        fit_correction(np.append(y[:30], y[:30]), np.ones(60), np.concatenate([before[:30]] * 2))(before), abs=2e-4
    )
    assert np.abs(fit_correction(y, np.ones(n), before)(before) - own).max() > 0.01


# --- who judges ---------------------------------------------------------------------------------------


def test_no_row_corrects_itself():
    """One row in a fold of its own that says the opposite of all others is corrected as these say."""
    p = np.full(21, 0.05)
    y = np.append(np.ones(20, dtype=int), 0)
    found = corrected_by_others(y, np.ones(21), chances(p))
    assert found[-1, 1] > 0.7
    assert found[-1, 1] > fit_correction(y, np.ones(21), chances(p))(chances(p))[-1, 1]


def test_rows_of_a_group_do_not_correct_each_other():
    rng = np.random.default_rng(2)
    n = 40
    group = np.repeat(np.arange(2), n // 2)
    y = group.copy()
    p = rng.uniform(0.4, 0.6, n)
    found = corrected_by_others(y, np.ones(n), chances(p), group)
    # Each group hears of the other alone, which has the other class throughout.
    assert ((found[:, 1] > 0.5).astype(int) != y).mean() > 0.9


def wrong(n, share):
    """Return labels, and predictions that are wrong of a share of them."""
    y = np.zeros(n, dtype=int)
    return y, chances(np.where(np.arange(n) < share * n, 0.9, 0.1))


def test_much_better_is_beyond_chance_and_by_a_quarter():
    y, before = wrong(40, 1.0)
    ones = np.ones(40)
    assert is_better(y, ones, before, 1 - before)
    assert not is_better(y, ones, before, before)
    slightly = chances(np.full(40, 0.85))
    assert not is_better(y, ones, before, slightly), "a sixth of the loss, on every row, is not worth it"
    # One row in ten that was wrong and is right, one that was right and is wrong by as much and a little.
    y, before = wrong(40, 0.3)
    lucky = before.copy()
    lucky[:12] = lucky[:12, ::-1]
    lucky[12:22] = lucky[12:22, ::-1]
    assert losses_of(y, lucky).mean() < losses_of(y, before).mean()
    assert not is_better(y, ones, before, lucky), "not beyond chance"


def test_what_judges_must_be_ten_rows_that_weigh_or_ten_groups():
    y, before = wrong(40, 1.0)
    after = 1 - before
    assert is_better(y[:10], np.ones(10), before[:10], after[:10])
    assert not is_better(y[:9], np.ones(9), before[:9], after[:9])
    heavy = np.full(40, 1e-6)
    heavy[:2] = 1.0
    assert not is_better(y, heavy, before, after)
    assert not is_better(y, np.zeros(40), before, after)
    assert not is_better(y, np.ones(40), before, after, np.arange(40) // 10)
    assert is_better(y, np.ones(40), before, after, np.arange(40) // 4)


# --- regions ------------------------------------------------------------------------------------------


def test_the_first_region_counts():
    rows = pd.DataFrame({"x": [0.1, 0.95, 0.95], "site": ["a", "a", "b"]})
    assert first_region(rows, [EDGE, ANYWHERE]).tolist() == [1, 0, 1]
    assert first_region(rows, [EDGE]).tolist() == [-1, 0, -1]
    turned = Correction(EDGE, fit_correction(np.array([0] * 9), np.ones(9), chances([0.99] * 9)))
    after = corrected(chances([0.99] * 3), rows, [turned])
    assert after[[0, 2], 1].tolist() == [0.99, 0.99]
    assert after[1, 1] < 0.5


def test_bounds_are_drawn_in_to_where_losses_are_high():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.random(3000)})
    losses = np.where(rows["x"] > 0.985, 3.0, 0.1) + 0.01 * rng.random(3000)
    (region,) = high_loss_regions(rows, (), losses)
    assert region.terms[0].low < 0.983, "a bound lies at a quantile of the column"
    assert drawn_in(region, rows, losses).terms[0].low == pytest.approx(0.985, abs=0.001)
    few = AllOf((Term("x", low=float(np.sort(rows["x"])[-12])),))
    assert drawn_in(few, rows, np.where(rows["x"] == rows["x"].max(), 9.0, 0.1)).marks(rows, losses).sum() >= 10


def test_losses_that_are_all_alike_have_no_region():
    rows = pd.DataFrame({"x": np.arange(400.0)})
    assert high_loss_regions(rows, (), np.full(400, 0.3) + 1e-14 * np.arange(400)) == []


# --- teachers -----------------------------------------------------------------------------------------


def edge_case(n, seed, task="binary"):
    """Return rows whose target goes with the load, and the other way round in a corner; and which are in the corner."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"load": rng.random(n), "x": rng.random(n), "site": rng.choice(["a", "b", "c"], n)})
    corner = ((rows["x"] > 0.9) & (rows["site"] == "a")).to_numpy()
    load = np.where(corner, 1 - rows["load"], rows["load"])
    y = (load > 0.5).astype(int) if task == "binary" else 10 * load + rng.normal(0, 0.1, n)
    return rows, y, corner


@pytest.fixture
def only(monkeypatch):
    """Leave the teacher a few models of its library, or one of one's own."""
    whole = module.library

    def of(*names, model=None):
        own = [Member("own", "one_hot", lambda _codes, _seed: model())] if model else []
        monkeypatch.setattr(module, "library", lambda task: [*(m for m in whole(task) if m.name in names), *own])

    return of


@pytest.fixture
def quick(only):
    """Leave the teacher linear models alone, which cannot see a corner."""
    only("linear")


def without_regions(teacher, rows, y, choice):
    """Return the same teacher as it would be without corrections."""
    other = Teacher(teacher.task, teacher.n_classes, teacher.categorical, teacher.seed)
    return other.train(rows, y, np.ones(len(y)), Choice(choice.weights, choice.out_of_fold))


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


def test_a_teacher_that_comes_to_see_the_corner_is_not_turned_away_from_it(only):
    """Out of fold too few rows of the corner are there to be learned from; all of them are enough."""
    only("extra_trees")
    rows, y, _ = edge_case(2400, 5)
    teacher = Teacher("binary", 2, ("site",), 0)
    choice = teacher.choose(rows, y, np.ones(len(y)))
    regions = (EDGE,)
    forced = Choice(choice.weights, choice.out_of_fold, regions)
    fresh, truth, corner = edge_case(6000, 6)
    seen = without_regions(teacher, rows, y, choice).predict(fresh)
    right = teacher.train(rows, y, np.ones(len(y)), forced).predict(fresh)
    # What is corrected are predictions of models without the corner's rows, which are wrong there throughout.
    assert losses_of(truth, teacher._ensemble(fresh))[corner].mean() > 1.5
    assert losses_of(truth, right)[corner].mean() < losses_of(truth, seen)[corner].mean()


def test_without_a_corner_nothing_is_corrected(quick):
    for seed in range(5):
        rows, y, corner = edge_case(1200, seed)
        rows, y = rows[~corner].reset_index(drop=True), y[~corner]
        noise = np.random.default_rng(seed).random(len(y)) < 0.1
        teacher = Teacher("binary", 2, ("site",), 0).fit(rows, y ^ noise, np.ones(len(y)))
        assert teacher.corrections == ()


def test_groups_whose_labels_nothing_explains_are_no_regions(quick):
    """Twenty rows of a group lie together and have one label by chance: a region of them tells of one row."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(60), 20)
        near = np.repeat(rng.random((60, 4)), 20, axis=0) + rng.normal(0, 0.01, (1200, 4))
        y = np.repeat((rng.random(60) < 0.2).astype(int), 20)
        rows = pd.DataFrame(near, columns=list("abcd"))
        assert Teacher("binary", 2, (), 0).fit(rows, y, np.ones(1200), group).corrections == ()


def test_labels_of_chance_do_not_look_better_than_they_are(quick):
    for seed in range(5):
        rows, y, _ = edge_case(1200, seed)
        y = np.random.default_rng(seed).permutation(y)
        teacher = Teacher("binary", 2, ("site",), 0).fit(rows, y, np.ones(len(y)))
        assert losses_of(y, teacher.out_of_fold).mean() > 0.68


def test_rows_of_two_regions_are_judged_with_the_one_that_they_stay_with(quick, monkeypatch):
    """Only the second region is the other way round, and not where the first one is: there nothing is turned."""
    harder, turned = AllOf((Term("x", low=0.7),)), AllOf((Term("z", low=0.8),))
    monkeypatch.setattr(module, "high_loss_regions", lambda *_: [harder, turned])
    monkeypatch.setattr(module, "drawn_in", lambda region, *_: region)

    def drawn(n, seed):
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame(rng.random((n, 3)), columns=["load", "x", "z"])
        a, b = (region.marks(rows, rows) for region in (harder, turned))
        high = (rows["load"] > 0.5).to_numpy()
        return rows, np.where((b & ~a) | (a & (rng.random(n) < 0.25)), ~high, high).astype(int)

    rows, y = drawn(1500, 0)
    teacher = Teacher("binary", 2, (), 0)
    choice = teacher.choose(rows, y, np.ones(1500))
    fresh, truth = drawn(20_000, 1)
    plain = losses_of(truth, without_regions(teacher, rows, y, choice).predict(fresh))
    after = losses_of(truth, teacher.train(rows, y, np.ones(1500), choice).predict(fresh))
    assert after.mean() <= plain.mean() + 1e-9
    # What is said of rows not seen is what the teacher then does of such rows.
    assert abs(losses_of(y, choice.out_of_fold).mean() - after.mean()) < 0.1


def test_regions_are_not_of_dates(quick):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"load": rng.random(1500), "day": rng.integers(0, 1000, 1500).astype(float)})
    y = ((rows["load"] > 0.5) ^ (rows["day"] < 90)).to_numpy().astype(int)
    ones = np.ones(1500)
    assert Teacher("binary", 2, (), 0).fit(rows, y, ones).corrections
    regions = Teacher("binary", 2, (), 0, dates=("day",)).fit(rows, y, ones).corrections
    assert "day" not in {term.column for c in regions for term in c.region.terms}


def test_a_model_of_ones_own_that_needs_the_regions_rows_keeps_them(only):
    from sklearn.linear_model import LogisticRegression

    class NeedsMost(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            if 1100 < len(y) < 1200:
                raise ValueError("not without those")
            return super().fit(X, y, sample_weight)

    only(model=NeedsMost)
    rows, y, corner = edge_case(1200, 0)
    outside, choice = np.flatnonzero(~corner), Choice({"own": 1.0}, y)
    with pytest.raises(CuratorError, match="not without those"):
        Teacher("binary", 2, ("site",), 0).train(rows.iloc[outside], y[outside], np.ones(len(outside)), choice)
    assert Teacher("binary", 2, ("site",), 0).fit(rows, y, np.ones(1200)).corrections == ()


def test_a_class_of_the_region_alone_is_not_taken_from_the_models(quick):
    rows, y, corner = edge_case(1200, 0)
    y = np.where(corner & (y == 1), 2, y)
    teacher = Teacher("multiclass", 3, ("site",), 0).fit(rows, y, np.ones(1200))
    assert teacher.predict(rows)[y == 2, 2].mean() > 0.02


def test_what_is_chosen_is_read_again(quick, tmp_path):
    rows, y, corner = edge_case(1200, 0)
    known = TrainingRows(rows, y, np.ones(len(y)), ("site",), "binary", ("no", "yes"))
    task = ChoiceTask(tmp_path / "choice", known, Faculty(), 0)
    fresh = edge_case(500, 3)[0]
    direct = fit_teacher(task).predict(fresh)
    choose_teacher(task)
    again = fit_teacher(task)
    assert again.corrections
    assert again.predict(fresh).tolist() == direct.tolist()
    # Where it is put right, rows of the corner are no longer the hard ones.
    assert hardness(task)[corner].mean() < 0.4
    about = json.loads((task.folder / "about.json").read_text())
    (task.folder / "about.json").write_text(json.dumps({**about, "regions": None}))
    with pytest.raises(CuratorError, match="is damaged"):
        fit_teacher(task)
