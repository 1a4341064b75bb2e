"""Weighted quantiles for scikit-learn's gradient boosting: its own figures, to the bit, in a small part of its time.

Where rows have weights, scikit-learn (1.9) asks for each of the 254 bounds that part a column into bins by a call of
its own, and every call sorts the column anew: with a few thousand rows that takes longer than all the trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

_NAME = "_weighted_percentile"


@contextmanager
def quick_quantiles() -> Iterator[None]:
    """Within this context boosting sorts each column once.

    Another version of scikit-learn, of whose quantiles these are not the same, is left as it is.
    """
    binning = _binning()
    if binning is None or not _are_the_same():
        yield
        return
    setattr(binning, _NAME, quantiles_of(_original()))
    try:
        yield
    finally:
        setattr(binning, _NAME, _original())


def quantiles_of(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that answers as `original` does, ``sklearn.utils.stats._weighted_percentile``.

    It remembers the last column, sorted. What boosting does not ask (anything but one averaged quantile of numbers that
    are there, with weights above 0) goes to `original`.
    """
    last: tuple[Any, Any, tuple[np.ndarray, np.ndarray] | None] = (None, None, None)

    def quantile(array: Any, sample_weight: Any, percentile_rank: Any = 50, average: bool = False, **more: Any) -> Any:
        nonlocal last
        column, weight, known = last
        if array is not column or sample_weight is not weight:
            known = _in_order(array, sample_weight)
            last = array, sample_weight, known
        if known is None or not average or more or np.ndim(percentile_rank):
            return original(array, sample_weight, percentile_rank, average=average, **more)
        values, share = known
        rank = np.float64(percentile_rank) / 100 * share[-1]
        rank = np.nextafter(rank, rank + 1) if rank == 0 else rank
        place = min(int(np.searchsorted(share, rank)), len(values) - 1)
        if share[place] - rank > np.finfo(float).eps:
            return values[place]
        return (values[place] + values[min(place + 1, len(values) - 1)]) / 2

    return quantile


def _in_order(array: Any, weight: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a column in order and the sum of the weights up to each row; None where it is no plain one."""
    plain = all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype == np.float64 for a in (array, weight))
    if not plain or len(array) == 0 or len(array) != len(weight) or not (weight > 0).all():
        return None
    # The very calls of scikit-learn: sums depend on the order in which rows of equal values come.
    order = np.argsort(array.reshape(-1, 1), axis=0, kind="quicksort")[:, 0]
    values = array[order]
    return None if np.isnan(values[-1]) else (values, np.cumsum(weight[order]))


def _binning() -> Any:
    """Return the module in which boosting finds its quantiles; None where it no longer does so."""
    from importlib import import_module

    try:
        module = import_module("sklearn.ensemble._hist_gradient_boosting.binning")
    except ImportError:
        return None
    return module if hasattr(module, _NAME) else None


@lru_cache(maxsize=1)
def _original() -> Any:
    return getattr(_binning(), _NAME)


@lru_cache(maxsize=1)
def _are_the_same() -> bool:
    """Whether these quantiles are those of the scikit-learn that is installed."""
    original, rng = _original(), np.random.default_rng(0)
    for values in (rng.normal(size=400), rng.integers(300, size=400).astype(float)):
        for weight in (np.ones(400), np.full(400, 0.7), rng.random(400) + 1e-3):
            mine = quantiles_of(original)
            for rank in np.linspace(0, 100, 9):
                try:
                    theirs = original(values, weight, rank, average=True)
                except TypeError:
                    return False
                if not np.array_equal(theirs, mine(values, weight, rank, average=True)):
                    return False
    return True
