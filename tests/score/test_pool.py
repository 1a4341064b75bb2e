"""The pool: built once, read by every trial, and never stopped by one bad source."""

from __future__ import annotations

import shutil
import sys
import types
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curator.errors import CuratorError
from curator.estimators import Estimator
from curator.mix import mix
from curator.parallel import LocalWorkers
from curator.records import MixPlan
from curator.score import all_scorers
from curator.score import build as module
from curator.score import candidates as candidates_module
from curator.score.build import build_pool
from curator.score.candidates import ABOUT, BALANCING, Source, load_candidates, source_seed
from curator.score.pool import load_pool
from curator.score.teacher import Faculty, Teacher
from curator.synthesize import SYNTHESIZERS, Entry
from curator.table import ENCODERS

NEIGHBOURS = Source("neighbours", "neighbours", {}, False)
SMOTE = Source("smote", "smote", {}, False)


@pytest.fixture
def broken(monkeypatch):
    """Return a source whose fit raises what a test asks."""

    def of(error: Exception) -> Source:
        class Broken:
            notes = ()

            def fit(self, rows, *, categorical, seed):
                raise error

            def sample(self, n, *, seed):
                raise AssertionError("not fitted")

        module = types.ModuleType("broken_source")
        module.Broken = Broken
        monkeypatch.setitem(sys.modules, "broken_source", module)
        monkeypatch.setitem(SYNTHESIZERS, "broken", Entry("broken_source", "Broken", {}))
        return Source("broken", "broken", {}, False)

    return of


def built(task):
    """Build a pool and read it."""
    build_pool(task)
    return load_pool(task.folder)


def candidates_of(task):
    return pd.concat([load_candidates(part.folder).rows for part in task.parts], ignore_index=True)


def _files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ABOUT}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_round_trip(quick_teacher, pool_task, tmp_path, task):
    asked = pool_task(tmp_path, task=task, n=90)
    pool, candidates = built(asked), candidates_of(asked)
    n, m = 90, len(pool.labels)
    encoder = ENCODERS["ordinal"](("w",)).fit(asked.known.rows)
    assert np.array_equal(pool.X, encoder.transform(asked.known.rows), equal_nan=True)
    assert np.array_equal(pool.X_valid, encoder.transform(asked.valid), equal_nan=True)
    assert np.array_equal(pool.X_candidates, encoder.transform(candidates), equal_nan=True)
    assert isinstance(pool.X_candidates, np.memmap)
    assert not pool.X_candidates.flags.writeable
    assert np.array_equal(pool.y, asked.known.y)
    assert np.array_equal(pool.y_valid, asked.y_valid)
    assert len(candidates) == m >= 3 * n
    assert pool.sources == ("neighbours",)
    assert pool.n_classes == len(asked.known.classes)
    assert pool.regression == (task == "regression")
    assert pool.categorical == (0,)
    assert list(pool.scores) == list(all_scorers())
    for values in (pool.source, pool.uniform, pool.prediction, *pool.scores.values()):
        assert len(values) == m
        assert np.isfinite(values).all()
    assert ((pool.uniform >= 0) & (pool.uniform < 1)).all()
    assert pool.seeds == {"neighbours": source_seed(5, "neighbours")}
    assert sum(pool.teacher_weights.values()) == pytest.approx(1)
    assert pool.notes == {"neighbours": ()}
    if task == "regression":
        assert pool.labels.min() >= asked.known.y.min()
        assert pool.labels.max() <= asked.known.y.max()
    else:
        assert set(pool.labels.tolist()) == set(range(len(asked.known.classes)))


def known(task, **changes):
    """Return a task whose training rows are changed."""
    return replace(task, known=replace(task.known, **changes))


def test_candidates_keep_to_the_training_rows(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path)
    asked = known(asked, rows=asked.known.rows.assign(b=asked.known.rows["b"].round(1)))
    build_pool(asked)
    candidates, rows = candidates_of(asked), asked.known.rows
    assert list(candidates.columns) == list(rows.columns)
    assert set(candidates["w"].dropna()) <= set(rows["w"].dropna())
    assert not any(v is None for v in candidates["w"])
    assert np.allclose(candidates["b"].dropna(), candidates["b"].dropna().round(1))
    assert candidates["a"].between(rows["a"].min(), rows["a"].max()).all()


def test_rows_to_judge_by_change_nothing_in_training(quick_teacher, pool_task, tmp_path):
    one = pool_task(tmp_path / "one")
    valid = one.valid.assign(a=99.0, w="new word")
    other = replace(one, store=tmp_path / "other", valid=valid, y_valid=1 - one.y_valid)
    build_pool(one)
    build_pool(other)
    judged = {"X_valid.npy", "y_valid.npy", "weight_valid.npy"}
    ours, theirs = _files(one.folder), _files(other.folder)
    assert {k: v for k, v in ours.items() if k not in judged} == {k: v for k, v in theirs.items() if k not in judged}
    assert ours["X_valid.npy"] != theirs["X_valid.npy"]
    # What is not fitted on them is not made anew for them either.
    assert [p.folder.name for p in one.parts] == [p.folder.name for p in other.parts]
    assert one.folder.name != other.folder.name


def test_no_rows_to_judge_by(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path)
    empty = np.empty(0)
    pool = built(replace(asked, valid=asked.valid.iloc[:0], y_valid=empty, weight_valid=empty))
    assert len(pool.X_valid) == len(pool.y_valid) == 0
    assert len(pool.labels) > 0


def test_a_rare_class_can_be_drawn_up(quick_teacher, pool_task, tmp_path):
    y = np.zeros(60, dtype=np.int64)
    y[:6] = 1
    pool = built(known(pool_task(tmp_path), y=y))
    plan = MixPlan((("neighbours", 3.0),), class_tilt=1.0)
    mixture = mix(plan, pool)
    assert mixture.shortfall == {}
    assert np.bincount(mixture.label).tolist() == [90, 90]
    assert mix(replace(plan, class_tilt=0.0), pool).shortfall == {}


@pytest.mark.parametrize(
    "error",
    [ValueError("two\nlines"), TypeError("no"), ZeroDivisionError("x"), RuntimeError(), KeyError("k"), IndexError("i")],
)
def test_a_failing_source_is_noted_and_gives_nothing(quick_teacher, broken, pool_task, tmp_path, error):
    pool = built(pool_task(tmp_path, sources=(broken(error), NEIGHBOURS)))
    assert pool.sources == ("broken", "neighbours")
    assert (pool.source == 1).all()
    assert len(pool.source) > 0
    (note,) = pool.notes["broken"]
    assert type(error).__name__ in note
    assert "no candidates" in note
    assert "\n" not in note
    assert mix(MixPlan((("broken", 1.0),)), pool).shortfall == {"broken": 60}


def test_an_error_of_our_own_is_not_swallowed(quick_teacher, broken, pool_task, tmp_path):
    with pytest.raises(CuratorError, match="the disk is full"):
        build_pool(pool_task(tmp_path, sources=(broken(CuratorError("the disk is full")), NEIGHBOURS)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_pool_without_any_candidate(quick_teacher, broken, pool_task, tmp_path, task):
    pool = built(pool_task(tmp_path, task=task, sources=(broken(ValueError("no")),)))
    assert len(pool.labels) == 0
    assert "no candidates" in pool.notes["broken"][0]
    mixture = mix(MixPlan((("broken", 1.0),), "relabel"), pool)
    assert len(mixture.candidate) == 0
    assert len(mixture.real) == 60


def test_smote_at_regression_is_noted(quick_teacher, pool_task, tmp_path):
    pool = built(pool_task(tmp_path, task="regression", sources=(SMOTE, NEIGHBOURS)))
    assert "needs classes" in pool.notes["smote"][0]


def test_balancing_evens_out_the_classes(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path, task="multiclass", balancing=True)
    pool = built(asked)
    assert pool.sources == ("neighbours", BALANCING)
    own = pool.labels[pool.source == 1]
    total = np.bincount(asked.known.y, minlength=3) + np.bincount(own, minlength=3)
    assert len(set(total.tolist())) == 1
    assert (mix(MixPlan((("neighbours", 1.0),)), pool).decision[pool.source == 1] != 0).all()


def test_two_sources_have_seeds_of_their_own(quick_teacher, pool_task, tmp_path):
    twins = (NEIGHBOURS, Source("again", "neighbours", {}, False))
    pool = built(pool_task(tmp_path, sources=twins))
    assert pool.seeds["neighbours"] != pool.seeds["again"]
    one, other = pool.X_candidates[pool.source == 0], pool.X_candidates[pool.source == 1]
    assert one.shape == other.shape
    assert not np.array_equal(one, other, equal_nan=True)


def test_settings_reach_the_synthesizer(quick_teacher, pool_task, tmp_path):
    pool = built(pool_task(tmp_path, sources=(Source("n", "neighbours", {"probability": 1e-12}, False),)))
    # Unmoved rows are copies.
    assert pool.scores["novelty"].max() == 0


def test_same_task_same_bytes_other_seed_other_candidates(quick_teacher, pool_task, tmp_path):
    one = pool_task(tmp_path / "one")
    same, other = replace(one, store=tmp_path / "same"), replace(one, store=tmp_path / "other", seed=6)
    for task in (one, same, other):
        build_pool(task)
    assert _files(one.folder) == _files(same.folder)
    assert _files(one.folder)["X_candidates.npy"] != _files(other.folder)["X_candidates.npy"]


@pytest.mark.integration
def test_workers_build_the_same_bytes(pool_task, tmp_path):
    tasks = [
        pool_task(tmp_path / "here", n=40, sources=(NEIGHBOURS, SMOTE)),
        pool_task(tmp_path / "here", n=40, task="regression"),
    ]
    with LocalWorkers(1) as here, LocalWorkers(2) as there:
        here.map(build_pool, tasks)
        there.map(build_pool, [t.moved(tmp_path / "there") for t in tasks])
    for task in tasks:
        assert _files(task.folder) == _files(tmp_path / "there" / task.folder.name)


@pytest.mark.parametrize("lost", [("smote",), ("neighbours",), ("neighbours", "smote")])
def test_scores_are_the_same_whichever_of_them_were_there_before(pool_task, tmp_path, monkeypatch, quick_teacher, lost):
    """Whether an index is used must not depend on which sources are still waiting for their scores."""
    few = replace(SMOTE, name="smote")
    task = pool_task(tmp_path, n=90, sources=(NEIGHBOURS, few))
    # An exact search would do for SMOTE's few candidates, but not for as many as a source may make.
    monkeypatch.setattr("curator.table.nearest.EXACT_WORK", 90 * 265 * 5)
    build_pool(task)
    before = {name: _files(folder) for name, folder in task.judged.items()}
    for name in lost:
        shutil.rmtree(task.judged[name])
    shutil.rmtree(task.folder)
    build_pool(task)
    assert {name: _files(folder) for name, folder in task.judged.items()} == before


@pytest.fixture
def counted(monkeypatch):
    """Count what is fitted."""
    counts = Counter()

    def count(owner, name, what):
        original = getattr(owner, name)

        def wrapped(*args, **kwargs):
            counts[what] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    count(candidates_module, "fit_source", "synthesizer")
    count(Teacher, "choose", "choice")
    count(module, "fit_teacher", "teacher")
    count(module, "score", "scores")
    return counts


NAIVE = Estimator("naive", "sklearn.naive_bayes.GaussianNB", (), "one_hot", True, "binary")
CHANGES = {
    "nothing": (lambda t: t, {}),
    "the encoding": (lambda t: replace(t, encoding="one_hot"), {}),
    "rows to judge by": (lambda t: replace(t, weight_valid=t.weight_valid * 2), {}),
    "one more source": (
        lambda t: replace(t, sources=(Source("again", "neighbours", {}, False), *t.sources)),
        {"synthesizer": 1, "teacher": 1, "scores": 1},
    ),
    "one source less": (lambda t: replace(t, sources=t.sources[1:]), {}),
    "a setting of one source": (
        lambda t: replace(t, sources=(replace(t.sources[0], params={"neighbours": 3}), t.sources[1])),
        {"synthesizer": 1, "teacher": 1, "scores": 1},
    ),
    "weights": (
        lambda t: known(t, weight=t.known.weight * np.linspace(1, 2, 60)),
        {"synthesizer": 2, "choice": 1, "teacher": 1, "scores": 2},
    ),
    "the ratio": (lambda t: replace(t, max_ratio=2.0), {"synthesizer": 2, "teacher": 1, "scores": 2}),
    "groups": (
        lambda t: known(t, group=np.arange(60) // 2),
        {"synthesizer": 2, "choice": 1, "teacher": 1, "scores": 2},
    ),
    "the models of the teacher": (
        lambda t: replace(t, faculty=Faculty(models=((NAIVE, NAIVE.code),))),
        {"choice": 1, "teacher": 1, "scores": 2},
    ),
    "the seed": (lambda t: replace(t, seed=6), {"synthesizer": 2, "choice": 1, "teacher": 1, "scores": 2}),
    "versions": (
        lambda t: replace(t, versions="sdv 99"),
        {"synthesizer": 2, "choice": 1, "teacher": 1, "scores": 2},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_anew_what_depends_on_it_and_nothing_else(quick_teacher, counted, pool_task, tmp_path, change):
    asked = pool_task(tmp_path, sources=(NEIGHBOURS, SMOTE))
    before = built(asked)
    counted.clear()
    apply, expected = CHANGES[change]
    task = apply(asked)
    pool = built(task)
    assert dict(counted) == expected
    if change == "one more source":
        old = np.flatnonzero(pool.source > 0)
        for name in ("X_candidates", "labels", "prediction", "uniform"):
            assert np.array_equal(getattr(pool, name)[old], getattr(before, name), equal_nan=True)


def test_a_half_written_pool_is_built_again(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path)
    build_pool(asked)
    before = _files(asked.folder)
    (asked.folder / ABOUT).unlink()
    (asked.folder / "X.npy").unlink()
    build_pool(asked)
    assert _files(asked.folder) == before


def test_a_pool_that_was_replaced_is_read_anew(quick_teacher, pool_task, tmp_path):
    asked, other = pool_task(tmp_path), pool_task(tmp_path, seed=6)
    before = np.array(built(asked).X_candidates)
    build_pool(other)
    shutil.rmtree(asked.folder)
    other.folder.rename(asked.folder)
    assert not np.array_equal(before, load_pool(asked.folder).X_candidates, equal_nan=True)


@pytest.mark.parametrize("damage", ["cut", "gone", "pickle"])
def test_a_damaged_pool_is_named(quick_teacher, pool_task, tmp_path, damage):
    asked = pool_task(tmp_path)
    build_pool(asked)
    victim = asked.folder / "labels.npy"
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:40])
    elif damage == "gone":
        victim.unlink()
    else:
        np.save(victim, np.array([{"a": 1}] * 300, dtype=object), allow_pickle=True)
    with pytest.raises(CuratorError, match="damaged") as caught:
        load_pool(asked.folder)
    assert str(asked.folder) in str(caught.value)
    assert "delete the folder" in str(caught.value)


def test_missing_words_come_back_as_nan(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path)
    rows = asked.known.rows
    asked = known(asked, rows=rows.assign(void=pd.Series(np.nan, index=rows.index, dtype=object)),
                  categorical=("w", "void"))  # fmt: skip
    build_pool(replace(asked, valid=asked.valid.assign(void=pd.Series(np.nan, index=asked.valid.index, dtype=object))))
    candidates = candidates_of(asked)
    assert candidates["void"].isna().all()
    assert not any(v is None for v in candidates["void"])
