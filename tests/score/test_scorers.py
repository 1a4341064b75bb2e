"""What each score means, on rows made so that the answer is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from curator.score import SCORERS, ScoringContext, all_scorers
from curator.score.agreement import agreement
from curator.score.context import RealSpace, rank_within
from curator.score.novelty import novelty
from curator.score.realism import realism
from curator.score.teacher import Teacher
from curator.score.typicality import typicality


def _context(rows, candidates, labels=None, *, prediction=None, task="binary", out_of_fold=None):
    m = len(candidates)
    labels = np.zeros(m, dtype=np.int64) if labels is None else np.asarray(labels)
    if prediction is None:
        prediction = labels.astype(float) if task == "regression" else np.full((m, int(labels.max()) + 1), 0.5)
    known = rows.y.astype(float) if out_of_fold is None else out_of_fold
    return ScoringContext(
        rows.frame, rows.y, candidates.reset_index(drop=True), labels, rows.categorical, task,
        SimpleNamespace(out_of_fold=known), prediction, 0, RealSpace(rows.frame, rows.categorical, m),
    )  # fmt: skip


@pytest.fixture
def mixed(real_rows):
    """Return real rows, 60 candidates like them and 20 absurd ones, in this order."""
    rows, others = real_rows(80), real_rows(60, seed=9)
    absurd = real_rows(20, seed=8).frame.assign(a=40.0, b=-900.0)
    return rows, pd.concat([others.frame, absurd], ignore_index=True)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("name", sorted(SCORERS))
def test_one_score_a_candidate_between_0_and_1(real_rows, name, task):
    rows, others = real_rows(60, task), real_rows(35, task, seed=4)
    candidates = others.frame.copy()
    candidates.loc[0, "w"] = "never seen"
    prediction = None
    if task == "binary":
        chance = np.random.default_rng(0).random(35)
        prediction = np.column_stack([chance, 1 - chance])
    context = _context(rows, candidates, others.y, task=task, prediction=prediction)
    score = SCORERS[name](context)
    assert score.shape == (35,)
    assert np.isfinite(score).all()
    assert score.min() >= 0
    assert score.max() <= 1
    assert np.array_equal(score, SCORERS[name](context)), "the same twice"


def test_registry_holds_the_four_scorers_in_reporting_order():
    assert list(all_scorers())[:4] == ["agreement", "realism", "novelty", "typicality"]


def test_copies_have_novelty_0(real_rows):
    rows, others = real_rows(60), real_rows(10, seed=2)
    candidates = pd.concat([rows.frame, others.frame], ignore_index=True)
    score = novelty(_context(rows, candidates))
    assert (score[:60] == 0).all()
    assert (score[60:] > 0).all()


def test_novelty_is_one_half_where_a_candidate_is_as_far_as_real_rows_are(real_rows):
    rows = real_rows(20)._replace(frame=pd.DataFrame({"a": np.arange(20.0)}), categorical=())
    score = novelty(_context(rows, pd.DataFrame({"a": [20.0, 19.5, 22.0]})))
    # Distances 1, 0.5 and 3 from the last row, which is 1 from its own neighbour.
    assert score == pytest.approx([1 / 2, 1 / 3, 3 / 4], abs=1e-5)


def test_a_new_row_beside_duplicates_is_new(real_rows):
    frame = pd.DataFrame({"a": [0.0, 0.0, 5.0, 9.0]})
    rows = real_rows(4)._replace(frame=frame, categorical=())
    score = novelty(_context(rows, pd.DataFrame({"a": [1.0, 0.0]})))
    assert score[0] > 0.99
    assert score[1] == 0


def test_absurd_rows_are_least_typical(mixed):
    rows, candidates = mixed
    score = typicality(_context(rows, candidates))
    assert score[60:].max() < score[:60].min()


def test_typicality_is_high_where_real_rows_are_dense(real_rows):
    frame = pd.DataFrame({"a": np.r_[np.linspace(0, 1, 40), np.arange(10) * 50]})
    rows = real_rows(50)._replace(frame=frame, categorical=())
    score = typicality(_context(rows, pd.DataFrame({"a": [0.5, 220.0, 1.5]})))
    assert rankdata(score).tolist() == [3, 1, 2]


def test_absurd_rows_look_synthetic(mixed):
    rows, candidates = mixed
    score = realism(_context(rows, candidates))
    assert roc_auc_score(np.arange(80) < 60, score) > 0.95


def test_a_single_candidate_can_be_scored(real_rows):
    rows = real_rows(30)
    context = _context(rows, real_rows(1, seed=3).frame)
    assert realism(context).tolist() == [1.0]
    assert typicality(context).tolist() == [1.0]
    assert 0 <= novelty(context)[0] <= 1


def test_agreement_is_the_chance_of_the_own_label(real_rows):
    prediction = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    context = _context(real_rows(20), real_rows(3, seed=1).frame, [0, 0, 1], prediction=prediction)
    assert agreement(context).tolist() == [0.9, 0.2, 0.3]


def test_flipped_labels_get_low_agreement(real_rows):
    rows, others = real_rows(80), real_rows(60, seed=3)
    teacher = Teacher("binary", 2, rows.categorical, 0).fit(rows.frame, rows.y, np.ones(80))
    prediction = teacher.predict(others.frame)
    flipped = others.y.copy()
    flipped[:20] = 1 - flipped[:20]
    score = agreement(_context(rows, others.frame, flipped, prediction=prediction))
    assert roc_auc_score(np.arange(60) >= 20, score) > 0.9
    assert np.median(score[:20]) < 0.2 < 0.8 < np.median(score[20:])


def test_agreement_at_regression_is_a_share_of_real_residuals(real_rows):
    rows = real_rows(100, "regression")
    out_of_fold = rows.y - np.arange(100.0)  # residuals 0, 1, ..., 99
    labels = np.array([0.0, 10.0, 94.0, 94.5, 99.0, 1000.0])
    context = _context(
        rows, real_rows(6, "regression", seed=1).frame, labels, task="regression",
        prediction=np.zeros(6), out_of_fold=out_of_fold,
    )  # fmt: skip
    assert agreement(context) == pytest.approx([1.0, 0.9, 0.06, 0.05, 0.01, 0.0])


@given(st.data())
def test_ranks_are_per_stratum(data):
    m = data.draw(st.integers(1, 40))
    values = np.array(data.draw(st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0, 1e6]), min_size=m, max_size=m)))
    stratum = np.array(data.draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)))
    ranks = rank_within(values, stratum)
    assert ((ranks > 0) & (ranks <= 1)).all()
    for number in np.unique(stratum):
        own = stratum == number
        # Nothing outside the stratum has a say, and order is kept, ties included.
        assert np.array_equal(ranks[own], rank_within(values[own], np.zeros(own.sum())))
        assert np.array_equal(rankdata(ranks[own]), rankdata(values[own]))
        assert ranks[own].mean() == pytest.approx((own.sum() + 1) / 2 / own.sum())


def test_a_threshold_on_ranks_takes_the_same_share_of_rare_and_common():
    stratum = np.repeat([0, 1], [900, 40])
    values = np.random.default_rng(0).random(940) - 10 * stratum
    kept = rank_within(values, stratum) >= 0.25
    assert kept[stratum == 0].mean() == pytest.approx(0.75, abs=0.01)
    assert kept[stratum == 1].mean() == pytest.approx(0.75, abs=0.03)


def test_strata_are_classes(real_rows):
    rows = real_rows(20)
    context = _context(rows, real_rows(6, seed=1).frame, [0, 1, 0, 1, 1, 1])
    assert context.stratum.tolist() == [0, 1, 0, 1, 1, 1]
    assert set(_context(rows, rows.frame, np.linspace(0, 1, 20), task="regression").stratum.tolist()) == {0}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_candidates_for_slices_are_ranked_within_class_and_slice(mixed, task):
    rows, candidates = mixed
    labels = np.arange(80) % 2
    made_for = np.where(np.arange(80) < 60, 0, 1)  # a slice of likely rows, and one of absurd ones
    context = replace(_context(rows, candidates, labels, task=task), made_for=made_for)
    strata = labels + 2 * made_for if task == "binary" else made_for
    assert len(np.unique(np.column_stack([context.stratum, strata]), axis=0)) == len(np.unique(strata))
    for scorer in (realism, typicality):
        score = scorer(context)
        for number in np.unique(strata):
            k = int((strata == number).sum())
            assert score[strata == number].mean() == pytest.approx((k + 1) / 2 / k), "each among its own"
