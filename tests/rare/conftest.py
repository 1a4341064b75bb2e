"""Tables with rare rows in known places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curator.recipe import Recipe
from curator.table import Table, load_table


def make_table(frame: pd.DataFrame, slices: dict[str, str] | None = None, **task: Any) -> tuple[Table, Recipe]:
    """Return a table with target `y`, and its recipe."""
    recipe = Recipe.model_validate({
        "data": {"target": "y"}, "task": task,
        "rare": {"slices": [{"name": n, "where": w} for n, w in (slices or {}).items()]},
    })  # fmt: skip
    return load_table(recipe, frame), recipe


def people(n: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return rows with numbers, words, flags that may be missing, and two classes."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "age": rng.integers(18, 90, n), "job": rng.choice(["clerk", "cook", "nurse"], n),
        "income": rng.normal(30, 8, n),
        "member": pd.array(np.where(rng.random(n) < 0.2, None, rng.random(n) < 0.5), dtype="boolean"),
        "visits": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(0, 9, n)), dtype="Int64"),
        "y": np.where(rng.random(n) < 0.4, "yes", "no"),
    })  # fmt: skip


@pytest.fixture(scope="session", name="make_table")
def _make_table() -> Callable[..., tuple[Table, Recipe]]:
    return make_table


@pytest.fixture(scope="session", name="people")
def _people() -> Callable[..., pd.DataFrame]:
    return people
