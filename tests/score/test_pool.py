"""The pool: built once, read by every trial, and never stopped by one bad source."""

from __future__ import annotations

import shutil
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curator.errors import CuratorError
from curator.mix import mix
from curator.parallel import Workers
from curator.records import MixPlan
from curator.score import all_scorers
from curator.score.pool import BALANCING, Source, build_pool, load_candidates, load_pool, source_seed
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


def _files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "pool.json"}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_round_trip(quick_teacher, pool_task, tmp_path, task):
    asked = pool_task(tmp_path / "f0", task=task, n=90)
    assert build_pool(asked) == "f0"
    pool, candidates = load_pool(tmp_path / "f0"), load_candidates(tmp_path / "f0")
    n, m = 90, len(pool.labels)
    encoder = ENCODERS["ordinal"](("w",)).fit(asked.rows)
    assert np.array_equal(pool.X, encoder.transform(asked.rows), equal_nan=True)
    assert np.array_equal(pool.X_valid, encoder.transform(asked.valid), equal_nan=True)
    assert np.array_equal(pool.X_candidates, encoder.transform(candidates), equal_nan=True)
    assert isinstance(pool.X_candidates, np.memmap)
    assert not pool.X_candidates.flags.writeable
    assert np.array_equal(pool.y, asked.y)
    assert np.array_equal(pool.y_valid, asked.y_valid)
    assert len(candidates) == m >= 3 * n
    assert pool.sources == ("neighbours",)
    assert pool.n_classes == len(asked.classes)
    assert pool.regression == (task == "regression")
    assert pool.categorical == (0,)
    assert list(pool.scores) == list(all_scorers())
    for values in (pool.source, pool.uniform, pool.prediction, *pool.scores.values()):
        assert len(values) == m
        assert np.isfinite(values).all()
    assert ((pool.uniform >= 0) & (pool.uniform < 1)).all()
    assert pool.seeds == {"neighbours": source_seed(5, 0)}
    assert sum(pool.teacher_weights.values()) == pytest.approx(1)
    assert pool.notes == {"neighbours": ()}
    if task == "regression":
        assert pool.labels.min() >= asked.y.min()
        assert pool.labels.max() <= asked.y.max()
    else:
        assert set(pool.labels.tolist()) == set(range(len(asked.classes)))


def test_candidates_keep_to_the_training_rows(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    asked = replace(asked, rows=asked.rows.assign(b=asked.rows["b"].round(1)))
    build_pool(asked)
    candidates = load_candidates(tmp_path / "f")
    assert list(candidates.columns) == list(asked.rows.columns)
    assert set(candidates["w"].dropna()) <= set(asked.rows["w"].dropna())
    assert not any(v is None for v in candidates["w"])
    assert np.allclose(candidates["b"].dropna(), candidates["b"].dropna().round(1))
    assert candidates["a"].between(asked.rows["a"].min(), asked.rows["a"].max()).all()


def test_rows_to_judge_by_change_nothing_in_training(quick_teacher, pool_task, tmp_path):
    one = pool_task(tmp_path / "one")
    other = replace(one, folder=tmp_path / "other", valid=one.valid * 1, y_valid=1 - one.y_valid)
    other = replace(other, valid=other.valid.assign(a=99.0, w="new word"))
    build_pool(one)
    build_pool(other)
    judged = {"X_valid.npy", "y_valid.npy", "weight_valid.npy"}
    ours, theirs = _files(tmp_path / "one"), _files(tmp_path / "other")
    assert {k: v for k, v in ours.items() if k not in judged} == {k: v for k, v in theirs.items() if k not in judged}
    assert ours["X_valid.npy"] != theirs["X_valid.npy"]


def test_no_rows_to_judge_by(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "all")
    empty = np.empty(0)
    build_pool(replace(asked, valid=asked.valid.iloc[:0], y_valid=empty, weight_valid=empty))
    pool = load_pool(tmp_path / "all")
    assert len(pool.X_valid) == len(pool.y_valid) == 0
    assert len(pool.labels) > 0


def test_a_rare_class_can_be_drawn_up(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    y = np.zeros(60, dtype=np.int64)
    y[:6] = 1
    build_pool(replace(asked, y=y))
    pool = load_pool(tmp_path / "f")
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
    build_pool(pool_task(tmp_path / "f", sources=(broken(error), NEIGHBOURS)))
    pool = load_pool(tmp_path / "f")
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
        build_pool(pool_task(tmp_path / "f", sources=(broken(CuratorError("the disk is full")), NEIGHBOURS)))
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_pool_without_any_candidate(quick_teacher, broken, pool_task, tmp_path, task):
    build_pool(pool_task(tmp_path / "f", task=task, sources=(broken(ValueError("no")),)))
    pool = load_pool(tmp_path / "f")
    assert len(pool.labels) == 0
    assert "no candidates" in pool.notes["broken"][0]
    mixture = mix(MixPlan((("broken", 1.0),), "relabel"), pool)
    assert len(mixture.candidate) == 0
    assert len(mixture.real) == 60


def test_smote_at_regression_is_noted(quick_teacher, pool_task, tmp_path):
    build_pool(pool_task(tmp_path / "f", task="regression", sources=(SMOTE, NEIGHBOURS)))
    assert "needs classes" in load_pool(tmp_path / "f").notes["smote"][0]


def test_balancing_evens_out_the_classes(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f", task="multiclass", balancing=True)
    build_pool(asked)
    pool = load_pool(tmp_path / "f")
    assert pool.sources == ("neighbours", BALANCING)
    own = pool.labels[pool.source == 1]
    total = np.bincount(asked.y, minlength=3) + np.bincount(own, minlength=3)
    assert len(set(total.tolist())) == 1
    assert (mix(MixPlan((("neighbours", 1.0),)), pool).decision[pool.source == 1] != 0).all()


def test_two_sources_have_seeds_of_their_own(quick_teacher, pool_task, tmp_path):
    twins = (NEIGHBOURS, Source("again", "neighbours", {}, False))
    build_pool(pool_task(tmp_path / "f", sources=twins))
    pool = load_pool(tmp_path / "f")
    assert pool.seeds["neighbours"] != pool.seeds["again"]
    one, other = pool.X_candidates[pool.source == 0], pool.X_candidates[pool.source == 1]
    assert one.shape == other.shape
    assert not np.array_equal(one, other, equal_nan=True)


def test_settings_reach_the_synthesizer(quick_teacher, pool_task, tmp_path):
    build_pool(pool_task(tmp_path / "f", sources=(Source("n", "neighbours", {"probability": 1e-12}, False),)))
    # Unmoved rows are copies.
    assert load_pool(tmp_path / "f").scores["novelty"].max() == 0


def test_same_task_same_bytes_other_seed_other_candidates(quick_teacher, pool_task, tmp_path):
    one = pool_task(tmp_path / "one")
    build_pool(one)
    build_pool(replace(one, folder=tmp_path / "same"))
    build_pool(replace(one, folder=tmp_path / "other", seed=6))
    assert _files(tmp_path / "one") == _files(tmp_path / "same")
    assert _files(tmp_path / "one")["X_candidates.npy"] != _files(tmp_path / "other")["X_candidates.npy"]


@pytest.mark.integration
def test_workers_build_the_same_bytes(pool_task, tmp_path):
    tasks = [
        pool_task(tmp_path / "classes", n=40, sources=(NEIGHBOURS, SMOTE)),
        pool_task(tmp_path / "numbers", n=40, task="regression"),
    ]
    with Workers(1) as here, Workers(2) as there:
        here.map(build_pool, tasks)
        there.map(build_pool, [replace(t, folder=tmp_path / f"{t.key}-there") for t in tasks])
    for task in tasks:
        assert _files(task.folder) == _files(tmp_path / f"{task.key}-there")


def test_a_finished_pool_is_not_built_again(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    build_pool(asked)
    before = _files(tmp_path / "f")
    build_pool(replace(asked, seed=99))
    assert _files(tmp_path / "f") == before


def test_a_half_written_pool_is_built_again(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    build_pool(asked)
    before = _files(tmp_path / "f")
    (tmp_path / "f" / "pool.json").unlink()
    (tmp_path / "f" / "X.npy").unlink()
    build_pool(asked)
    assert _files(tmp_path / "f") == before


def test_a_pool_that_was_replaced_is_read_anew(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    build_pool(asked)
    before = np.array(load_pool(tmp_path / "f").X_candidates)
    shutil.rmtree(tmp_path / "f")
    build_pool(replace(asked, seed=6))
    assert not np.array_equal(before, load_pool(tmp_path / "f").X_candidates, equal_nan=True)


@pytest.mark.parametrize("damage", ["cut", "gone", "pickle"])
def test_a_damaged_pool_is_named(quick_teacher, pool_task, tmp_path, damage):
    build_pool(pool_task(tmp_path / "f"))
    victim = tmp_path / "f" / "labels.npy"
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:40])
    elif damage == "gone":
        victim.unlink()
    else:
        np.save(victim, np.array([{"a": 1}] * 300, dtype=object), allow_pickle=True)
    with pytest.raises(CuratorError, match="damaged") as caught:
        load_pool(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "delete the folder" in str(caught.value)


def test_missing_words_come_back_as_nan(quick_teacher, pool_task, tmp_path):
    asked = pool_task(tmp_path / "f")
    build_pool(replace(asked, rows=asked.rows.assign(void=pd.Series(np.nan, index=asked.rows.index, dtype=object)),
                       valid=asked.valid.assign(void=pd.Series(np.nan, index=asked.valid.index, dtype=object)),
                       categorical=("w", "void")))  # fmt: skip
    candidates = load_candidates(tmp_path / "f")
    assert candidates["void"].isna().all()
    assert not any(v is None for v in candidates["void"])
