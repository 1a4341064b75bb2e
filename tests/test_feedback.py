"""Outputs fed back, round after round: depths are right, real rows are never lost, old synthetic rows leak nowhere."""


import numpy as np
import pandas as pd
import pytest

from curator import selection
from curator.score import teacher
from curator.synthesize import SYNTHESIZERS, Entry

MONTH = 130
SEEN: list[set[float]] = []


class Echo:
    """A synthesizer of the public protocol that repeats its rows with noise, and remembers what it was fitted on."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        SEEN.append(set(rows["mark"].tolist()))
        self.rows = rows

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        made = self.rows.iloc[rng.integers(len(self.rows), size=n)].reset_index(drop=True)
        # Marks of synthetic rows are negative: they are told from real ones wherever they go.
        return made.assign(x=made["x"] + rng.normal(scale=0.1, size=n), mark=-1.0 - np.arange(n))


def month(number, rows=MONTH):
    """New real rows; `mark` is different in each of them."""
    rng = np.random.default_rng(number)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "word": rng.choice(["a", "b"], rows),
            "code": [f"m{number}-{i}" for i in range(rows)],
            "count": rng.integers(0, 9, rows),
            "mark": number * 1000.0 + np.arange(rows),
            "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


def recipe(folder, name, source, **sections):
    return {
        "name": name,
        "data": {"source": source, "target": "y", "types": {"code": "id"}, **sections.pop("data", {})},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression"},
        "synthesizers": ["echo"],
        "labels": "keep",
        "filters": dict.fromkeys(("realism", "novelty", "typicality"), "off"),
        "rare": {"guard": False, "discover": False},
        "search": {"trials": 3, "max_ratio": 1, "jobs": 1},
        "output": {"directory": str(folder), "policy": "always", "explain": False, **sections.pop("output", {})},
        **sections,
    }


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    SEEN.clear()
    monkeypatch.setitem(SYNTHESIZERS, "echo", Entry(__name__, "Echo", {}))
    full = teacher.library
    monkeypatch.setattr(teacher, "library", lambda task: [m for m in full(task) if m.name == "linear"])

    def select(trials, folds=None, mean=None):
        most = max((t for t in trials if t.state == "complete"), key=lambda t: t.plan.ratio)
        return most, most

    monkeypatch.setattr(selection, "select", select)
