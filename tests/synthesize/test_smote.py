"""SMOTE and SMOTENC as a source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curator.synthesize import TARGET
from curator.synthesize.smote import Smote


def _rows(counts: dict[str, int], *, numbers: bool = True, words: bool = True, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(counts), list(counts.values())).astype(object)
    n = len(labels)
    frame = pd.DataFrame(index=range(n))
    if words:
        frame["w"] = np.where(rng.random(n) < 0.5, labels + "1", labels + "2")
        frame["w"] = frame["w"].astype(object)
    if numbers:
        frame["x"], frame["z"] = rng.normal(size=n), rng.normal(size=n)
    return frame.assign(**{TARGET: labels})


def _fitted(frame: pd.DataFrame, **settings) -> Smote:
    smote = Smote(**settings)
    smote.fit(frame, categorical=("w", TARGET), seed=0)
    return smote


@pytest.mark.parametrize("words", [False, True])
def test_candidates_lie_on_a_line_between_two_rows_of_their_class(words):
    frame = _rows({"a": 12, "b": 9}, words=words)
    made = _fitted(frame).sample_classes({"a": 15, "b": 20}, seed=1)
    assert made[TARGET].value_counts().to_dict() == {"b": 20, "a": 15}
    for _, row in made.iterrows():
        own = frame.loc[frame[TARGET] == row[TARGET], ["x", "z"]].to_numpy()
        p = row[["x", "z"]].to_numpy(float)
        away, along = p - own[:, None], own[None] - own[:, None]
        cross = np.abs(away[..., 0] * along[..., 1] - away[..., 1] * along[..., 0])
        low, high = np.minimum(own[:, None], own[None]), np.maximum(own[:, None], own[None])
        inside = ((p >= low - 1e-9) & (p <= high + 1e-9)).all(axis=2)
        assert ((cross < 1e-9) & inside).any()


@pytest.mark.parametrize(("numbers", "words"), [(True, True), (False, True), (True, False)])
def test_words_and_numbers_alone_or_together(numbers, words):
    frame = _rows({"a": 20, "b": 8}, numbers=numbers, words=words)
    made = _fitted(frame).sample(28, seed=0)
    assert list(made.columns) == list(frame.columns)
    assert made[TARGET].value_counts().to_dict() == {"a": 20, "b": 8}
    if words:
        assert (made["w"].str[0] == made[TARGET]).all(), "words are those of rows of the class"
    if numbers:
        assert made[["x", "z"]].notna().all(axis=None)


def test_a_class_of_one_row_is_noted_and_gives_nothing():
    smote = _fitted(_rows({"a": 10, "b": 1}))
    assert smote.notes == ("class 'b' has one row: nothing to interpolate",)
    assert set(smote.sample(20, seed=0)[TARGET]) == {"a"}
    assert set(smote.sample_classes({"a": 3, "b": 9}, seed=0)[TARGET]) == {"a"}


def test_a_class_of_two_rows_has_one_neighbour():
    frame = _rows({"a": 10, "b": 2}, words=False)
    made = _fitted(frame, k_neighbors=5).sample_classes({"b": 10}, seed=0)
    own = frame.loc[frame[TARGET] == "b", "x"]
    assert made["x"].between(own.min(), own.max()).all()
    assert made["x"].nunique() > 5


def test_a_missing_number_counts_as_the_median_of_its_class():
    frame = _rows({"a": 10, "b": 10}, words=False)
    frame.loc[frame[TARGET] == "b", "x"] += 1000
    frame.loc[[0, 1, 10, 11], "x"] = np.nan
    smote = _fitted(frame)
    known = frame.groupby(TARGET)["x"].median()
    assert smote._filled["x"].iloc[[0, 1]].eq(known["a"]).all()
    assert smote._filled["x"].iloc[[10, 11]].eq(known["b"]).all()
    assert smote.sample(40, seed=0)["x"].notna().all()


def test_a_missing_word_counts_as_a_category():
    frame = _rows({"a": 10, "b": 10})
    frame.loc[frame[TARGET] == "b", "w"] = np.nan
    made = _fitted(frame).sample(40, seed=0)
    assert made.loc[made[TARGET] == "b", "w"].isna().all()
    assert made.loc[made[TARGET] == "a", "w"].notna().all()


def test_classes_in_their_real_share():
    made = _fitted(_rows({"a": 30, "b": 10})).sample(20, seed=0)
    assert made[TARGET].value_counts().to_dict() == {"a": 15, "b": 5}
