"""On a permuted target nothing can help, and by a ranking metric nothing may be called better."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from curator.curate import curate
from curator.parallel import LocalWorkers
from curator.score import teacher
from curator.score.teacher import library

SEEDS = 20


def few_members(task):
    """Return a teacher's library of one model: the others cost most of a run's time, and prove nothing here."""
    return [m for m in library(task) if m.name == "boosting_stumps"]


@dataclass(frozen=True)
class Run:
    """One permuted target."""

    seed: int
    folder: str
    reads = writes = ()
    cost = 1.0


def verdict(task):
    seed, folder = task.seed, task.folder
    teacher.library = few_members  # in a worker process of its own
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :6].assign(target=np.random.default_rng(seed).permutation(bunch.target))
    recipe = {
        "name": f"noise-{seed}",
        "data": {"source": "unused.csv", "target": "target"},
        "task": {"metric": "roc_auc", "folds": 2, "repeats": 1, "holdout": 0.4, "estimator": "logistic_regression"},
        "synthesizers": ["neighbours"],
        "search": {"trials": 8, "seed": seed, "max_ratio": 5},
        "output": {"directory": folder, "explain": False},
    }
    return curate(recipe, pd.DataFrame(table), jobs=1).verdict


@pytest.mark.integration
def test_noise_is_hardly_ever_better(tmp_path):
    with LocalWorkers(2) as workers:
        verdicts = workers.map(verdict, [Run(seed, str(tmp_path)) for seed in range(SEEDS)])
    assert verdicts.count("better") <= 1
