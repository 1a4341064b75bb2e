"""Nothing is fitted on rows that later judge it: canaries in held-out rows never reach anything with a `fit`."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from curator import pools
from curator.curate import curate, read_recipe
from curator.evaluate import cache
from curator.prepare import prepare
from curator.rare import discover_slices
from curator.score import SCORERS
from curator.score.teacher import Teacher
from curator.synthesize import SYNTHESIZERS, TARGET, Entry
from curator.table import DistanceRows, encode

ROWS = 160


class Recorder:
    """Which row numbers were seen, by fold and by whom."""

    def __init__(self):
        self.fold = None
        self.seen = defaultdict(set)
        self.calls = defaultdict(int)

    def rows(self, who, canaries):
        self.calls[who] += 1
        self.seen[self.fold, who] |= set(np.asarray(canaries, dtype=float).tolist())


RECORDER = Recorder()


class RecordingSynthesizer:
    """A synthesizer of the public protocol that repeats its rows with noise, canary aside."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        assert TARGET in rows
        RECORDER.rows("synthesizer", rows["canary"])
        self.rows = rows

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        made = self.rows.iloc[rng.integers(len(self.rows), size=n)].reset_index(drop=True)
        return made.assign(x=made["x"] + rng.normal(scale=0.1, size=n))


class RecordingModel:
    """A downstream model that remembers what it was trained on."""

    classes_ = np.array([0, 1])

    def fit(self, X, y, sample_weight=None):
        RECORDER.rows("model", X[:, -1])
        from sklearn.linear_model import LogisticRegression

        self.model = LogisticRegression().fit(X[:, -2:-1], y, sample_weight)
        return self

    def predict_proba(self, X):
        return self.model.predict_proba(X[:, -2:-1])

    def predict(self, X):
        return self.model.predict(X[:, -2:-1])


def table():
    rng = np.random.default_rng(3)
    x = rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "word": rng.choice(["a", "b", "c"], ROWS),
            "x": x,
            "canary": np.arange(ROWS) + 0.5,  # a row's number, readable wherever the row goes
            "y": np.where(x + rng.normal(size=ROWS) > 0, "yes", "no"),
        }
    )


def recipe(folder, **changes):
    content = {
        "data": {"source": "unused.csv", "target": "y"},
        "task": {"folds": 3, "repeats": 1, "estimator": {"class": "test_leaks.RecordingModel"}},
        "synthesizers": ["recording"],
        "search": {"trials": 6, "jobs": 1},
        "output": {"directory": str(folder), "policy": "always"},
    }
    return {**content, **changes}


@pytest.fixture
def recording(monkeypatch):
    RECORDER.__init__()
    monkeypatch.setitem(SYNTHESIZERS, "recording", Entry(__name__, "RecordingSynthesizer", {}))

    def scorer(context):
        RECORDER.rows("scorer", context.rows["canary"])
        return np.ones(len(context.labels))

    monkeypatch.setitem(SCORERS, "recording", scorer)

    def record(owner, name, who, column):
        original = getattr(owner, name)

        def wrapped(self, rows, *args, **kwargs):
            if RECORDER.fold is not None:
                RECORDER.rows(who, rows["canary"])
            return original(self, rows, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    record(Teacher, "choose", "choice of the teacher", "canary")
    record(Teacher, "train", "teacher", "canary")
    for kind in (encode.OrdinalRows, encode.OneHotRows, DistanceRows):
        record(kind, "fit", "encoder", "canary")

    def during(module, name, fold_of):
        original = getattr(module, name)

        def wrapped(task):
            RECORDER.fold = fold_of(task)
            try:
                return original(task)
            finally:
                RECORDER.fold = None

        monkeypatch.setattr(module, name, wrapped)

    # Folders are called after their fold: r0f0-neighbours-1a2b..., r0f0-3c4d...
    during(pools, "make_candidates", lambda task: task.folder.name.split("-")[0])
    during(pools, "choose_teacher", lambda task: task.folder.name.split("-")[0])
    during(pools, "build_pool", lambda task: task.key)
    during(cache, "run_fit", lambda task: task.folder.name.split("-")[0])
    return RECORDER


# The recording model reads the canary off the last column, which the ordinal encoding keeps as it is.
@pytest.fixture(autouse=True)
def ordinal(monkeypatch):
    monkeypatch.setattr("curator.estimators._TREE_PLACES", ("test_leaks",))


def test_nothing_that_fits_sees_rows_that_judge_it(recording, tmp_path):
    setup = prepare(read_recipe(recipe(tmp_path)), table())
    run = curate(recipe(tmp_path), table())
    assert run.results["verdict"]["emitted"] in {"mix", "real_only"}
    folds = {f.key: f for f in (*setup.splits.folds, setup.splits.certification)}
    whos = {"synthesizer", "scorer", "choice of the teacher", "teacher", "encoder", "model"}
    for key, fold in folds.items():
        held_out = set(np.arange(ROWS)[fold.valid] + 0.5)
        allowed = set(np.arange(ROWS)[fold.train] + 0.5)
        for who in whos:
            seen = recording.seen[key, who]
            assert seen, f"{who} was never fitted on fold {key}: the recorder is deaf"
            assert seen & held_out == set(), f"{who} saw judging rows of fold {key}"
            # Candidates may move between rows, but a canary itself only ever comes from a training row.
            assert {v for v in seen if (v * 2) % 1 == 0 and v % 1 == 0.5 and v in held_out | allowed} <= allowed


def test_holdout_rows_cannot_move_the_search(recording, tmp_path):
    """Whatever stands in the holdout's features, trials, thresholds and the selected plan are the same."""
    original = table()
    setup = prepare(read_recipe(recipe(tmp_path)), original)
    poisoned = original.copy()
    poisoned.loc[setup.splits.holdout, ["x", "canary"]] = 1e6
    poisoned.loc[setup.splits.holdout, "word"] = "only-in-holdout"
    assert (prepare(read_recipe(recipe(tmp_path)), poisoned).splits.holdout == setup.splits.holdout).all()
    clean, dirty = curate(recipe(tmp_path), original), curate(recipe(tmp_path), poisoned)
    assert clean.path != dirty.path
    drop = ["seconds"]
    pd.testing.assert_frame_equal(clean.trials.drop(columns=drop), dirty.trials.drop(columns=drop))
    assert clean.results["selected"] == dirty.results["selected"]


def test_discovered_slices_are_settled_on_development_rows(tmp_path):
    original = table()
    recipe_ = read_recipe({"data": {"source": "x.csv", "target": "y"}})
    setup = prepare(recipe_, original)
    poisoned = original.copy()
    poisoned.loc[setup.splits.holdout, ["x", "canary"]] = 1e6
    other = prepare(recipe_, poisoned)
    own = setup.splits.development
    before = {s.name: s.member[own].tolist() for s in discover_slices(setup.table, own)}
    after = {s.name: s.member[own].tolist() for s in discover_slices(other.table, own)}
    assert before["isolated rows"] == after["isolated rows"]
    assert sum(before["isolated rows"]) == pytest.approx(0.05 * len(own), abs=1)
