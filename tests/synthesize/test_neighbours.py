"""Where candidates of `neighbours` may lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.synthesize import TARGET
from curator.synthesize.neighbours import Neighbours
from curator.table import DistanceRows

WORDS = ("w", "v")


def _rows(n: int = 30, *, classes: bool = True, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "x": rng.normal(size=n), "w": rng.choice(list("abc"), n).astype(object),
        "y": rng.normal(size=n) * 100, "v": rng.choice(list("de"), n).astype(object),
    })  # fmt: skip
    frame[TARGET] = rng.choice(["no", "yes"], n).astype(object) if classes else rng.normal(size=n) * 7
    return frame


def _fitted(frame: pd.DataFrame, **settings) -> Neighbours:
    synthesizer = Neighbours(**settings)
    classes = frame[TARGET].dtype == object
    synthesizer.fit(frame, categorical=(*WORDS, TARGET) if classes else WORDS, seed=0)
    return synthesizer


def _near(frame: pd.DataFrame, k: int) -> list[list[int]]:
    """Return each row's k nearest other rows, found one by one."""
    features = frame.drop(columns=TARGET)
    points = DistanceRows(WORDS).fit(features).transform(features).astype(float)
    far = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return [list(np.argsort(row)[:k]) for row in far]


def _between(value, one, other) -> bool:
    if isinstance(value, str):
        return value in (one, other)
    low, high = sorted((one, other))
    return low - 1e-9 <= value <= high + 1e-9


def _explained(
    candidate: pd.Series, frame: pd.DataFrame, near: list[list[int]], columns: list[str], *, same: list[str]
) -> bool:
    """Whether some row and one of its neighbours span the candidate, and the row gives the columns in `same`."""
    return any(
        all(candidate[c] == frame[c].iloc[i] for c in same)
        and any(all(_between(candidate[c], frame[c].iloc[i], frame[c].iloc[j]) for c in columns) for j in near[i])
        for i in range(len(frame))
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), k=st.sampled_from([1, 3, 5]), probability=st.sampled_from([0.2, 0.5, 1.0]))
def test_candidates_lie_between_a_row_and_a_neighbour(seed, k, probability):
    frame = _rows(25, seed=seed)
    near = _near(frame, k)
    made = _fitted(frame, neighbours=k, probability=probability).sample(30, seed=seed)
    for _, candidate in made.iterrows():
        assert _explained(candidate, frame, near, ["x", "w", "y", "v"], same=[TARGET])


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_numeric_target_moves_with_the_features(seed):
    frame = _rows(25, classes=False, seed=seed)
    near = _near(frame, 3)
    made = _fitted(frame, neighbours=3).sample(30, seed=seed)
    for _, candidate in made.iterrows():
        assert _explained(candidate, frame, near, ["x", "w", "y", "v", TARGET], same=[])


def test_a_numeric_target_follows_a_linear_law_on_one_feature():
    x = np.arange(20.0)
    frame = pd.DataFrame({"x": x, TARGET: 3 * x + 1})
    synthesizer = Neighbours(probability=1.0)
    synthesizer.fit(frame, categorical=(), seed=0)
    made = synthesizer.sample(60, seed=0)
    assert np.allclose(made[TARGET], 3 * made["x"] + 1)
    assert not np.allclose(made["x"], np.round(made["x"])), "candidates are not copies"


def test_at_probability_one_words_are_all_the_neighbours():
    frame = _rows(25)
    frame["w"] = [f"w{i}" for i in range(25)]
    made = _fitted(frame, neighbours=1, probability=1.0).sample(25, seed=0)
    near = {f"w{i}": f"w{near[0]}" for i, near in enumerate(_near(frame, 1))}
    # One round starts from every row once, so that every row's neighbour is handed out once.
    assert sorted(made["w"]) == sorted(near.values())


def test_every_row_is_a_start_equally_often():
    frame = _rows(20)
    made = _fitted(frame, probability=1e-12).sample(70, seed=3)
    counts = made["x"].value_counts()
    assert set(made["x"]) == set(frame["x"])
    assert counts.max() == 4
    assert counts.min() == 3


def test_probability_is_the_share_of_features_moved():
    frame = _rows(60)
    made = _fitted(frame, probability=0.3).sample(600, seed=0)
    unmoved = np.isin(made["x"], frame["x"]).mean()
    assert unmoved == pytest.approx(0.7, abs=0.07)


def test_a_missing_number_is_taken_or_left_whole():
    frame = _rows(40)
    frame.loc[::3, "x"] = np.nan
    made = _fitted(frame, probability=1.0, neighbours=3).sample(200, seed=0)
    assert 0 < made["x"].isna().mean() < 1
    known = frame["x"].dropna()
    assert made["x"].dropna().between(known.min(), known.max()).all()


def test_sample_classes_counts():
    frame = _rows(40)
    made = _fitted(frame).sample_classes({"yes": 101, "no": 2, "never seen": 5}, seed=0)
    assert made[TARGET].value_counts().to_dict() == {"yes": 101, "no": 2}
    assert list(made.columns) == list(frame.columns)


def test_sample_classes_in_random_order():
    made = _fitted(_rows(40)).sample_classes({"yes": 50, "no": 50}, seed=0)
    assert 10 < (made[TARGET].head(50) == "no").sum() < 40


def test_duplicates_have_other_rows_as_neighbours():
    frame = pd.concat([_rows(6)] * 3, ignore_index=True)
    synthesizer = _fitted(frame, neighbours=2)
    assert synthesizer._near.shape == (18, 2)
    assert not (synthesizer._near == np.arange(18)[:, None]).any()


def test_one_row_is_repeated():
    frame = _rows(1)
    made = _fitted(frame).sample(3, seed=0)
    assert made.drop_duplicates().reset_index(drop=True).equals(frame)


def test_more_neighbours_than_rows():
    made = _fitted(_rows(4), neighbours=50).sample(10, seed=0)
    assert len(made) == 10
