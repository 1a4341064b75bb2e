"""Labels with predictions, and one numerical thread as in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from curator.evaluate import Prediction
from curator.parallel import one_thread


def judged(
    task: str = "binary", n: int = 60, seed: int = 0, *, ties: bool = False
) -> tuple[np.ndarray, Prediction, np.ndarray]:
    """Return targets, a fair prediction of them, and positive weights."""
    rng = np.random.default_rng(seed)
    weight = rng.random(n) + 0.2
    if task == "regression":
        y = rng.gamma(3, 2, n) + 0.1
        value = np.abs(y + rng.normal(0, 1, n)) + 0.1
        return y, Prediction(None, value), weight
    k = 2 if task == "binary" else 4
    y = np.concatenate([np.arange(k), rng.choice(k, n - k, p=np.arange(k, 0, -1) / np.arange(k, 0, -1).sum())])
    raw = rng.random((n, k)) + 0.9 * np.eye(k)[y] * rng.random((n, 1))
    chance = raw / raw.sum(axis=1, keepdims=True)
    if ties:
        chance = np.round(chance * 6) + 0.5
        chance = chance / chance.sum(axis=1, keepdims=True)
        chance[:, 0] += 1 - chance.sum(axis=1)
    return y, Prediction(chance, chance.argmax(axis=1)), weight


@pytest.fixture(scope="session", name="judged")
def _judged() -> Callable[..., tuple[np.ndarray, Prediction, np.ndarray]]:
    return judged


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
