"""Small training sets, a teacher of few models, and one numerical thread as in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from curator.parallel import one_thread
from curator.score import teacher
from curator.score.build import PoolTask
from curator.score.candidates import Source, TrainingRows


class Rows(NamedTuple):
    """Plain features and their target."""

    frame: pd.DataFrame
    y: np.ndarray
    categorical: tuple[str, ...]


def real_rows(n: int = 80, task: str = "binary", seed: int = 0) -> Rows:
    """Return rows whose target can be learned, with a few missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "a": rng.normal(size=n), "b": rng.normal(50, 10, size=n), "w": rng.choice(["u", "v", "x"], n).astype(object),
    })  # fmt: skip
    signal = frame["a"] + (frame["w"] == "u") + rng.normal(0, 0.3, n)
    frame.loc[rng.random(n) < 0.05, "b"] = np.nan
    frame.loc[rng.random(n) < 0.05, "w"] = np.nan
    if task == "regression":
        return Rows(frame, signal.to_numpy(), ("w",))
    edges = [0.3] if task == "binary" else [-0.3, 0.9]
    return Rows(frame, np.searchsorted(edges, signal.to_numpy()).astype(np.int64), ("w",))


@pytest.fixture(scope="session", name="real_rows")
def _real_rows() -> Callable[..., Rows]:
    return real_rows


@pytest.fixture(scope="session")
def pool_task() -> Callable[..., PoolTask]:
    """Return what builds a small pool, changed as a test asks."""

    def of(store: Path, *, task: str = "binary", n: int = 60, sources: tuple[Source, ...] | None = None, **changes):
        rows, valid = real_rows(n, task), real_rows(20, task, seed=1)
        classes = {"binary": ("no", "yes"), "multiclass": ("lo", "mid", "hi"), "regression": ()}[task]
        given = {
            "store": store, "key": "f0", "valid": valid.frame, "y_valid": valid.y, "weight_valid": np.ones(20),
            "known": TrainingRows(rows.frame, rows.y, np.ones(n), rows.categorical, task, classes),
            "encoding": "ordinal", "max_ratio": 3.0, "seed": 5,
            "sources": sources or (Source("neighbours", "neighbours", {}, False),),
        }  # fmt: skip
        return PoolTask(**{**given, **changes})

    return of


@pytest.fixture
def quick_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the teacher choose among two models: enough wherever the teacher is not what is tested."""
    whole = teacher.library
    kept = {"linear", "boosting_stumps"}
    monkeypatch.setattr(teacher, "library", lambda task: [m for m in whole(task) if m.name in kept])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
