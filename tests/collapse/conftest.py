"""Tables to audit and to simulate."""

import numpy as np
import pandas as pd
import pytest


def people(rows, seed, shift=0.0):
    """Return rows of one distribution: numbers with a tail, a rare category, and a target that depends on both."""
    rng = np.random.default_rng(seed)
    age, income = rng.normal(40, 12, rows), rng.lognormal(10, 0.6, rows)
    town = rng.choice(["a", "b", "c", "d", "e"], rows, p=[0.5, 0.3, 0.15, 0.03, 0.02])
    score = (age - 40) / 12 + (np.log(income) - 10) / 0.6 + 1.5 * (town == "b") + rng.normal(0, 0.7, rows)
    return pd.DataFrame({"age": age.round(1) + shift, "income": income.round(), "town": town,
                         "buys": np.where(score > 0.8, "yes", "no")})  # fmt: skip


@pytest.fixture(scope="session")
def population():
    """``population(rows, seed)``."""
    return people
