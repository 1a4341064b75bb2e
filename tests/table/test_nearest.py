"""Nearest rows: the exact search is exact, and the index finds what the exact search finds."""

from __future__ import annotations

import faiss
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.table import DistanceRows, NearestRows
from curator.table import nearest as module

# What two float32 sums over some coordinates may differ by.
CLOSE = {"rtol": 1e-3, "atol": 2e-3}


def distances(points, queries):
    """All distances, in double precision."""
    points, queries = points.astype(float), queries.astype(float)
    squared = (queries**2).sum(1)[:, None] + (points**2).sum(1) - 2 * queries @ points.T
    return np.sqrt(np.maximum(squared, 0))


def brute(points, queries, k):
    """The k least of all distances, ascending."""
    return np.sort(distances(points, queries), axis=1)[:, :k]


def nearest_other(points):
    """Distance from each row to its nearest other row."""
    found = np.empty(len(points))
    for start in range(0, len(points), 1000):
        part = distances(points, points[start : start + 1000])
        part[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found[start : start + 1000] = part.min(axis=1)
    return found


def clustered(rows, seed=0, clusters=30, numbers=6, words=3):
    """Points of mixed rows in clusters of unequal size and spread, as synthesizers and scorers see them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99)
    middle, spread = centres.normal(0, 4, (clusters, numbers)), centres.gamma(2, 0.3, clusters)
    share = centres.dirichlet(np.full(clusters, 0.6))
    own = rng.choice(clusters, rows, p=share)
    values = middle[own] + rng.normal(size=(rows, numbers)) * spread[own, None]
    frame = pd.DataFrame(values, columns=[f"n{i}" for i in range(numbers)])
    for i in range(words):
        likely = np.array(list("abcdefgh"))[(own * (i + 3)) % 8]
        frame[f"w{i}"] = np.where(rng.random(rows) < 0.8, likely, rng.choice(list("abcdefgh"), rows))
    frame.loc[rng.random(rows) < 0.05, "n0"] = np.nan
    frame.loc[rng.random(rows) < 0.05, "w0"] = np.nan
    return frame, tuple(f"w{i}" for i in range(words))


def real_and_made(rows, queries, **shape):
    """Points of real rows, and of candidates that are drawn like them."""
    frame, words = clustered(rows, **shape)
    encoder = DistanceRows(words).fit(frame)
    return encoder.transform(frame), encoder.transform(clustered(queries, seed=1, **shape)[0])


@pytest.fixture
def indexed(monkeypatch):
    """Every search goes through the index."""
    monkeypatch.setattr(module, "EXACT_WORK", 0)


@pytest.fixture(scope="module")
def points():
    return real_and_made(4000, 400)


class TestExact:
    @given(
        n=st.integers(3, 60), d=st.integers(1, 8), q=st.integers(1, 30), k=st.integers(1, 8), seed=st.integers(0, 999)
    )
    def test_finds_what_all_distances_say(self, n, d, q, k, seed):
        rng = np.random.default_rng(seed)
        rows, queries = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(q, d)).astype(np.float32)
        index = NearestRows(rows, queries=q)
        distance, which = index.search(queries, k)
        expected = brute(rows, queries, k)
        assert distance.shape == which.shape == (q, min(k, n))
        np.testing.assert_allclose(distance, expected, **CLOSE)
        between = np.linalg.norm(queries[:, None] - rows[which], axis=2)
        np.testing.assert_allclose(between, distance, **CLOSE)
        assert (np.diff(distance, axis=1) >= 0).all()
        assert index.facts == {"method": "exact", "rows": n, "recall": 1.0}

    @given(n=st.integers(2, 60), k=st.integers(1, 8), seed=st.integers(0, 999), ties=st.booleans())
    def test_own_neighbours_are_other_rows(self, n, k, seed, ties):
        rng = np.random.default_rng(seed)
        rows = (rng.integers(0, 3, (n, 2)) if ties else rng.normal(size=(n, 3))).astype(np.float32)
        distance, which = NearestRows(rows, queries=n).own(k)
        assert distance.shape == which.shape == (n, min(k, n - 1))
        assert (which != np.arange(n)[:, None]).all()
        assert all(len(set(row)) == len(row) for row in which.tolist())
        away = brute(rows, rows, n)[:, 1:]  # a row's distance to itself is among the least
        np.testing.assert_allclose(distance, away[:, : distance.shape[1]], **CLOSE)
        np.testing.assert_allclose(np.linalg.norm(rows[:, None] - rows[which], axis=2), distance, **CLOSE)

    def test_in_pieces_or_at_once_is_the_same(self, monkeypatch):
        rows, _ = real_and_made(500, 1)
        index = NearestRows(rows, queries=500)
        at_once = index.own(4)
        monkeypatch.setattr(module, "CHUNK", 60)
        in_pieces = index.own(4)
        assert np.array_equal(at_once[0], in_pieces[0])
        assert np.array_equal(at_once[1], in_pieces[1])

    def test_a_row_alone(self):
        index = NearestRows(np.array([[1.0, 2.0]], dtype=np.float32), queries=1)
        distance, which = index.own(5)
        assert distance.tolist() == [[0.0]]
        assert which.tolist() == [[0]]
        distance, which = index.search(np.array([[4.0, 6.0], [1.0, 2.0]], dtype=np.float32), 5)
        assert distance.tolist() == [[5.0], [0.0]]
        assert which.tolist() == [[0], [0]]

    @pytest.mark.parametrize("k", [1, 2, 9])
    def test_two_rows_are_each_others_neighbour(self, k):
        distance, which = NearestRows(np.array([[0, 0], [3, 4]], dtype=np.float32), queries=2).own(k)
        assert distance.tolist() == [[5.0], [5.0]]
        assert which.tolist() == [[1], [0]]

    def test_more_neighbours_than_rows_are_all_rows(self):
        rows = np.arange(4, dtype=np.float32)[:, None]
        distance, which = NearestRows(rows, queries=1).search(np.array([[-1.0]], dtype=np.float32), 50)
        assert distance.tolist() == [[1, 2, 3, 4]]
        assert which.tolist() == [[0, 1, 2, 3]]

    def test_what_is_few_is_searched_exactly_and_what_is_much_by_an_index(self):
        rows = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)
        assert NearestRows(rows, queries=10).facts["method"] == "exact"
        assert NearestRows(rows, queries=10**8).facts["method"] == "index"


@pytest.mark.parametrize("forced", [False, True])
def test_copies_are_at_distance_zero_and_never_the_row_itself(monkeypatch, forced):
    """Far from the origin, where squares by expansion lose most digits."""
    if forced:
        monkeypatch.setattr(module, "EXACT_WORK", 0)
    rng = np.random.default_rng(0)
    base = (rng.normal(size=(700, 12)) + 30).astype(np.float32)
    rows = np.concatenate([base, base[:300], base[:100], base[:100], base[:100]])
    index = NearestRows(rows, queries=len(rows))
    distance, which = index.own(3)
    assert index.facts["method"] == ("index" if forced else "exact")
    itself = np.arange(len(rows))[:, None]
    assert (which != itself).all()
    copied = np.concatenate([np.arange(300), np.arange(700, len(rows))])
    assert (distance[copied, 0] == 0).all()
    assert np.array_equal(rows[which[copied, 0]], rows[copied])
    fivefold = np.concatenate([np.arange(100), np.arange(700, 800), np.arange(1000, len(rows))])
    assert (distance[fivefold] == 0).all()
    assert (distance[300:700] > 0).all()
    found, who = index.search(base[:50], 1)
    assert (found == 0).all()
    assert np.array_equal(rows[who[:, 0]], base[:50])


@pytest.mark.parametrize("forced", [False, True])
def test_all_rows_alike(monkeypatch, forced):
    if forced:
        monkeypatch.setattr(module, "EXACT_WORK", 0)
    distance, which = NearestRows(np.ones((800, 3), dtype=np.float32), queries=800).own(2)
    assert distance.shape == which.shape == (800, 2)
    assert (distance == 0).all()
    assert (which != np.arange(800)[:, None]).all()


class TestIndex:
    def test_finds_the_nearest_row_as_an_exact_search_does(self, indexed, points):
        rows, queries = points
        index = NearestRows(rows, queries=len(queries))
        distance, which = index.search(queries, 5)
        expected = brute(rows, queries, 5)
        found = distance[:, 0] <= expected[:, 0] * (1 + 1e-4) + 1e-3
        assert found.mean() >= 0.995
        assert index.facts["method"] == "index"
        assert index.facts["rows"] == len(rows)
        assert 0.995 <= index.facts["recall"] <= 1
        assert index.facts["recall"] == pytest.approx(found.mean(), abs=0.003)
        assert 1 <= index.facts["probes"] <= index.facts["lists"]
        np.testing.assert_allclose(np.linalg.norm(queries[:, None] - rows[which], axis=2), distance, **CLOSE)
        assert (np.diff(distance, axis=1) >= 0).all()

    def test_finds_it_for_most_of_many_queries_too(self, indexed):
        rows, queries = real_and_made(4000, 3000, numbers=10)
        distance, _ = NearestRows(rows, queries=len(queries)).search(queries, 1)
        exact = distances(rows, queries).min(axis=1, keepdims=True)
        # What is measured on 400 of them holds for all within three standard deviations.
        assert (distance <= exact * (1 + 1e-4) + 1e-3).mean() >= 0.985

    @pytest.mark.parametrize("clusters", [30, 3, 1])
    def test_own_neighbours_are_found_as_an_exact_search_finds_them(self, indexed, clusters):
        """Rows that look for others find themselves at once, which says nothing of how well they find others."""
        rows, _ = real_and_made(5000, 1, numbers=10, clusters=clusters)
        index = NearestRows(rows, queries=len(rows))
        distance, which = index.own()
        assert (which[:, 0] != np.arange(len(rows))).all()
        found = distance[:, 0] <= nearest_other(rows) * (1 + 1e-3) + 1e-3
        assert found.mean() >= 0.985
        assert index.facts["recall"] == pytest.approx(found.mean(), abs=0.01)

    def test_recall_is_measured_all_over_the_queries(self, indexed):
        """Easy questions first, hard ones after: the easy ones do not speak for the hard ones."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(5000, 16)).astype(np.float32)
        queries = np.concatenate([rows[:400], rng.normal(size=(399, 16)).astype(np.float32)])
        distance, _ = NearestRows(rows, queries=len(queries)).search(queries, 1)
        exact = brute(rows, queries[400:], 1)
        assert (distance[400:] <= exact * (1 + 1e-4) + 1e-3).mean() >= 0.97

    def test_answers_do_not_depend_on_what_was_asked_before(self, indexed, points):
        rows, queries = points
        hard = np.random.default_rng(5).normal(0, 3, queries.shape).astype(np.float32)
        fresh = NearestRows(rows, queries=400).search(queries, 5)
        used = NearestRows(rows, queries=400)
        used.search(hard, 5)
        used.own(2)
        used.search(queries[:7], 1)
        again = used.search(queries, 5)
        assert np.array_equal(fresh[0], again[0])
        assert np.array_equal(fresh[1], again[1])

    def test_an_index_built_again_answers_alike(self, indexed, points):
        rows, queries = points
        one, two = (NearestRows(rows.copy(), queries=400).search(queries.copy(), 5) for _ in range(2))
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[1], two[1])

    def test_own_neighbours_do_not_depend_on_what_was_asked_before(self, indexed, points, monkeypatch):
        rows, queries = points
        monkeypatch.setattr(module, "CHUNK", 1500)
        fresh = NearestRows(rows, queries=400).own(3)
        used = NearestRows(rows, queries=400)
        used.search(queries, 5)
        again = used.own(3)
        assert np.array_equal(fresh[0], again[0])
        assert np.array_equal(fresh[1], again[1])

    def test_partitions_with_too_few_rows_are_not_the_end(self, indexed, points):
        rows, queries = points
        distance, which = NearestRows(rows, queries=400).search(queries[:20], len(rows) + 5)
        assert distance.shape == which.shape == (20, len(rows))
        assert (np.sort(which, axis=1) == np.arange(len(rows))).all()
        np.testing.assert_allclose(distance, brute(rows, queries[:20], len(rows)), **CLOSE)

    @pytest.mark.parametrize("fails", [False, True])
    def test_the_threads_of_others_are_left_as_they_were(self, indexed, points, monkeypatch, fails):
        rows, queries = points
        before = faiss.omp_get_max_threads()
        seen = []
        original = faiss.IndexIVFFlat.add

        def add(self, *args):
            seen.append(faiss.omp_get_max_threads())
            if fails:
                raise RuntimeError("no memory")
            return original(self, *args)

        monkeypatch.setattr(faiss.IndexIVFFlat, "add", add)
        faiss.omp_set_num_threads(2)
        try:
            if fails:
                with pytest.raises(RuntimeError, match="no memory"):
                    NearestRows(rows, queries=400)
            else:
                NearestRows(rows, queries=400).search(queries, 3)
            assert faiss.omp_get_max_threads() == 2
        finally:
            faiss.omp_set_num_threads(before)
        assert seen == [1]
