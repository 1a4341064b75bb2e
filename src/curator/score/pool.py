"""The pool of one training set: real rows and candidates, encoded and scored once, read by every trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curator.score.candidates import ABOUT, damaged


@dataclass(frozen=True, eq=False)
class Pool:
    """Arrays of one pool, memory-mapped; m candidates beside n real training rows and v rows to judge by.

    Attributes
    ----------
    X, X_valid, X_candidates : float64 arrays of shape (n, d), (v, d), (m, d)
        In the estimator's encoding, fitted on the training rows.
    y, y_valid : arrays of shape (n,), (v,)
        Class codes, or values.
    weight, weight_valid : arrays of shape (n,), (v,)
    group : int array of shape (n,)
        Training rows that belong together; empty without groups.
    labels : array of shape (m,)
        The synthesizers' labels.
    source : int array of shape (m,)
        Index into `sources`.
    prediction : array of shape (m, n_classes) or (m,)
        The teacher's.
    uniform : array of shape (m,)
        One number in [0, 1) a candidate, for drawing labels and copies.
    scores : mapping of str to array of shape (m,)
    density : array of shape (m,)
        Each candidate's probability to be a real row, as of equally many of both.
    hardness : array of shape (n,)
        The teacher's error out of fold on each real row, in [0, 1].
    made_for : int array of shape (m,)
        Index into `fed` of the slice that a candidate was made for; -1 where it was made for none.
    fed : tuple of str
        The slices that a source of their own feeds.
    teacher_regions : tuple of str
        Where the teacher was put right, in words.
    """

    X: np.ndarray
    X_valid: np.ndarray
    X_candidates: np.ndarray
    y: np.ndarray
    y_valid: np.ndarray
    weight: np.ndarray
    weight_valid: np.ndarray
    labels: np.ndarray
    source: np.ndarray
    prediction: np.ndarray
    uniform: np.ndarray
    sources: tuple[str, ...]
    n_classes: int
    categorical: tuple[int, ...]
    scores: Mapping[str, np.ndarray]
    group: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    density: np.ndarray = field(default_factory=lambda: np.empty(0))
    hardness: np.ndarray = field(default_factory=lambda: np.empty(0))
    made_for: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    fed: tuple[str, ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teacher_weights: Mapping[str, float] = field(default_factory=dict)
    teacher_regions: tuple[str, ...] = ()
    seeds: Mapping[str, int] = field(default_factory=dict)
    neighbours: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.n_classes == 0


_ARRAYS = (
    "X", "X_valid", "X_candidates", "y", "y_valid", "weight", "weight_valid", "group", "labels", "source", "prediction",
    "uniform", "density", "hardness", "made_for",
)  # fmt: skip


def load_pool(folder: Path) -> Pool:
    """Read a cached pool; arrays are mapped, not copied, so that worker processes share them."""
    try:
        # A pool that was built anew at the same place is another pool.
        written = (folder / ABOUT).stat().st_mtime_ns
    except OSError as error:
        raise damaged(folder, error) from None
    return _load_pool(folder, written)


@lru_cache(maxsize=64)
def _load_pool(folder: Path, written: int) -> Pool:  # noqa: ARG001  # part of the cache's key
    def array(name: str) -> np.ndarray:
        path = folder / f"{name}.npy"
        empty = path.stat().st_size < 256 or name in {"X_valid", "y_valid", "weight_valid"}
        loaded: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
        return loaded

    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        arrays = {name: array(name) for name in _ARRAYS}
        scores = {name: array(f"score-{name}") for name in about["scores"]}
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder, error) from None
    return Pool(
        **arrays,
        sources=tuple(about["sources"]),
        n_classes=about["n_classes"],
        categorical=tuple(about["categorical"]),
        scores=scores,
        notes={k: tuple(v) for k, v in about["notes"].items()},
        teacher_weights=about["teacher"],
        teacher_regions=tuple(about["regions"]),
        seeds=about["seeds"],
        fed=tuple(about["fed"]),
        neighbours=tuple(about["neighbours"]),
        seconds=about["seconds"],
    )
