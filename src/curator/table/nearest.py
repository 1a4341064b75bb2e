"""Nearest rows: exact where that takes seconds, else by an inverted-file index whose recall is measured."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

import numpy as np

# Multiplications of an exact search beyond which an index is used: some ten seconds of one core.
EXACT_WORK = 1e11
# Rows encoded and searched at a time.
CHUNK = 50_000
LEAST_RECALL = 0.995
_PROBED = 400
_FIRST_PROBES = 8


class NearestRows:
    """Finds nearest rows by Euclidean distance.

    The index partitions the rows around k-means centres and looks into the partitions nearest to a query (faiss,
    IVF-Flat). How many it looks into is doubled until, on 400 of the queries, the nearest row is found as an exact
    search finds it in at least 99.5 % of cases; looking into all of them is exact.

    Parameters
    ----------
    points : float32 array of shape (n, d)
    queries : int
        About how many rows will be looked up, which decides between exact search and index.

    Attributes
    ----------
    facts : dict
        ``method`` (``exact`` or ``index``), ``rows`` n, the least measured ``recall``, and for an index its ``lists``
        and the most ``probes`` (partitions looked into).
    """

    def __init__(self, points: np.ndarray, *, queries: int) -> None:
        self._points = points
        n, d = points.shape
        exact = float(n) * max(n, queries) * max(d, 1) <= EXACT_WORK
        self.facts: dict[str, Any] = {"method": "exact" if exact else "index", "rows": n, "recall": 1.0}
        self._index: Any = None if exact else self._build(n, d)

    def search(self, queries: np.ndarray, k: int, *, judged: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return distances, shape (q, k), ascending, and row numbers, shape (q, k); k is at most n.

        Recall is measured on the nearest row, or on the one that is `judged`, counted from 1.
        """
        k = min(k, len(self._points))
        if self._index is None:
            distance, which = self._brute.kneighbors(queries, n_neighbors=k)
        else:
            distance, which = self._search(queries, k, self._probes(queries, judged))
        # Squared distances are computed by expansion: equal rows come out as a rounding error, not as zero.
        distance = np.where(distance < 1e-3, 0.0, distance)
        return distance, which

    def apart(self) -> Self:
        """Return the same rows with facts of their own, which later searches here leave alone."""
        twin = copy.copy(self)
        twin.facts = dict(self.facts)
        return twin

    def own(self, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each row, distances to its k nearest other rows and their numbers, each of shape (n, k')."""
        n = len(self._points)
        if n == 1:
            return np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64)
        parts = [self.search(self._points[start : start + CHUNK], k + 1, judged=2) for start in range(0, n, CHUNK)]
        distance, which = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
        # A row is its own nearest neighbour, unless it has duplicates: drop itself where it stands, else the last.
        itself = which == np.arange(n)[:, None]
        itself[~itself.any(axis=1), -1] = True
        return distance[~itself].reshape(n, -1), which[~itself].reshape(n, -1)

    @cached_property
    def _brute(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(algorithm="brute").fit(self._points)

    def _build(self, n: int, d: int) -> Any:
        import faiss

        lists = int(max(16, min(4 * np.sqrt(n), n // 40)))
        with _one_thread(faiss):
            index = faiss.IndexIVFFlat(faiss.IndexFlatL2(d), d, lists)
            index.train(self._points)
            index.add(self._points)
        self.facts |= {"lists": lists, "probes": _FIRST_PROBES}
        return index

    def _search(self, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """Look into so many partitions, or into more where these hold fewer than k rows."""
        import faiss

        limits: Any = faiss.SearchParametersIVF()
        limits.nprobe = probes
        with _one_thread(faiss):
            squared, which = self._index.search(queries, k, params=limits)
        if (which < 0).any():
            return self._search(queries, k, min(2 * probes, self._index.nlist))
        return np.sqrt(np.maximum(squared, 0.0)), which

    def _probes(self, queries: np.ndarray, judged: int) -> int:
        """Return how many partitions give recall enough; a function of these queries, whatever was asked before."""
        some = queries[np.unique(np.linspace(0, len(queries) - 1, _PROBED).astype(int))]
        exact = self._brute.kneighbors(some, n_neighbors=judged)[0][:, -1]
        probes = _FIRST_PROBES
        while True:
            found = self._search(some, judged, probes)[0][:, -1]
            recall = float(np.mean(found <= exact * (1 + 1e-4) + 1e-3))
            if recall >= LEAST_RECALL or probes >= self._index.nlist:
                break
            probes = min(2 * probes, self._index.nlist)
        self.facts |= {"recall": min(recall, self.facts["recall"]), "probes": max(probes, self.facts["probes"])}
        return probes


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Keep faiss to one thread, as everything else here, and put its setting back."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
