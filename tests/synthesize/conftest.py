"""Rows in plain form for synthesizers, and one numerical thread as in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from curator.parallel import one_thread
from curator.synthesize import TARGET


class Rows(NamedTuple):
    """Training rows with their target, and which columns are words."""

    frame: pd.DataFrame
    categorical: tuple[str, ...]


def plain_rows(n: int = 60, *, classes: bool = True, seed: int = 0) -> Rows:
    """Return a table with what real ones have: missing values, an empty column, names that SDV reads a meaning into."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, n)
    amount = rng.exponential(100, n)
    city = rng.choice(["Lund", "Oslo", "Turku"], n).astype(object)
    email = rng.choice(["a@x.org", "b@x.org"], n).astype(object)
    frame = pd.DataFrame({"age": age, "city": city, "amount": amount, "email": email})
    frame.loc[rng.random(n) < 0.15, "age"] = np.nan
    frame.loc[rng.random(n) < 0.15, "city"] = np.nan
    frame["nothing"] = np.nan
    signal = amount / 100 + (email == "a@x.org") + rng.normal(0, 0.3, n)
    frame[TARGET] = np.where(signal > np.median(signal), "yes", "no").astype(object) if classes else signal
    return Rows(frame, ("city", "email", TARGET) if classes else ("city", "email"))


@pytest.fixture(scope="session", name="plain_rows")
def _plain_rows() -> Callable[..., Rows]:
    return plain_rows


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
