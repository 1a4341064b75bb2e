"""One fit per class: shares, fall-backs, and classes that do not run into each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.synthesize import TARGET, make_synthesizer, split_count
from curator.synthesize.neighbours import Neighbours
from curator.synthesize.per_class import LEAST_ROWS, PerClass


def _rows(**counts: int) -> pd.DataFrame:
    """Return classes that lie 100 apart."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"x": 100.0 * i + rng.random(n), "w": f"only in {label}", TARGET: label})
        for i, (label, n) in enumerate(counts.items())
    ]
    return pd.concat(parts, ignore_index=True)


def _fitted(rows: pd.DataFrame, build=Neighbours) -> PerClass:
    synthesizer = PerClass(build)
    synthesizer.fit(rows, categorical=("w", TARGET), seed=0)
    return synthesizer


def test_classes_come_in_their_real_share():
    made = _fitted(_rows(a=120, b=40)).sample(100, seed=1)
    assert made[TARGET].value_counts().to_dict() == {"a": 75, "b": 25}


@pytest.mark.parametrize("synthesizer", ["neighbours", "gaussian_copula"])
def test_classes_are_not_diluted(synthesizer):
    rows = _rows(a=40, b=35)
    made = make_synthesizer(synthesizer, {}, per_class=True)
    made.fit(rows, categorical=("w", TARGET), seed=0)
    drawn = made.sample(80, seed=1)
    for i, label in enumerate("ab"):
        own = drawn[drawn[TARGET] == label]
        assert set(own["w"]) == {f"only in {label}"}
        assert own["x"].between(100 * i - 1e-6, 100 * i + 1 + 1e-6).all()


def test_a_class_under_thirty_rows_goes_to_neighbours_and_is_noted():
    built = []

    def build():
        built.append(Neighbours(neighbours=3))
        return built[-1]

    rows = _rows(a=LEAST_ROWS, b=LEAST_ROWS - 1)
    synthesizer = _fitted(rows, build)
    assert len(synthesizer.notes) == 1
    assert "'b' has 29 rows, under 30: neighbours used instead" in synthesizer.notes[0]
    assert synthesizer._parts["a"] is built[0]
    assert synthesizer._parts["b"].neighbours == Neighbours().neighbours
    made = synthesizer.sample_classes({"b": 10}, seed=0)
    assert made[TARGET].tolist() == ["b"] * 10
    assert set(made["w"]) == {"only in b"}


def test_notes_of_the_parts_name_their_class():
    class Talkative(Neighbours):
        def fit(self, rows, *, categorical, seed):
            super().fit(rows, categorical=categorical, seed=seed)
            self.notes = ("something odd",)

    assert "class 'a': something odd" in _fitted(_rows(a=40, b=40), Talkative).notes


def test_parts_see_no_target_and_have_their_own_seeds():
    seen = []

    class Watching(Neighbours):
        def fit(self, rows, *, categorical, seed):
            seen.append((tuple(rows.columns), categorical, seed, len(rows)))
            super().fit(rows, categorical=categorical, seed=seed)

    _fitted(_rows(a=40, b=50), Watching)
    assert [s[0] for s in seen] == [("x", "w")] * 2
    assert [s[1] for s in seen] == [("w",)] * 2
    assert seen[0][2] != seen[1][2]
    assert [s[3] for s in seen] == [40, 50]


def test_needs_classes():
    rows = _rows(a=40, b=40).assign(**{TARGET: np.arange(80.0)})
    with pytest.raises(ValueError, match="needs classes"):
        PerClass(Neighbours).fit(rows, categorical=("w",), seed=0)


@given(
    n=st.integers(0, 500),
    weights=st.lists(st.floats(0.001, 10), min_size=1, max_size=8),
)
def test_split_count_is_whole_fair_and_complete(n, weights):
    shares = {f"c{i}": w for i, w in enumerate(weights)}
    parts = split_count(n, shares)
    assert sum(parts.values()) == n
    assert set(parts) == set(shares)
    total = sum(weights)
    for label, share in shares.items():
        assert isinstance(parts[label], int)
        assert abs(parts[label] - share / total * n) < 1 + 1e-9
