"""The simulator agrees with what is known of distributions that are refitted to their own samples."""

import numpy as np
import pandas as pd
import pytest

from curator.collapse.policies import first_generation, generations, next_generation
from curator.synthesize import TARGET

M = 100


class Normal:
    """A normal distribution, fitted by mean and (unbiased) variance."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        values = rows[TARGET].to_numpy()
        self._mean, self._spread = values.mean(), values.std(ddof=1)

    def sample(self, n, *, seed):
        return pd.DataFrame({TARGET: np.random.default_rng(seed).normal(self._mean, self._spread, n)})


class Shares:
    """Categories, each as likely as its share of the rows."""

    notes = ()

    def fit(self, rows, *, categorical, seed):
        self._values, counts = np.unique(rows[TARGET].to_numpy(int), return_counts=True)
        self._shares = counts / counts.sum()

    def sample(self, n, *, seed):
        return pd.DataFrame({TARGET: np.random.default_rng(seed).choice(self._values, n, p=self._shares)})


def normal_rows(seed):
    return pd.DataFrame({TARGET: np.random.default_rng([seed, 1]).normal(size=M)})


def zipf_rows(seed):
    shares = 1 / np.arange(1, 51)
    return pd.DataFrame({TARGET: np.random.default_rng([seed, 2]).choice(50, 500, p=shares / shares.sum())})


def variances(policy, chains, count):
    """Return each chain's variance at every generation, over that of generation 0."""
    found = np.empty((chains, count + 1))
    for seed in range(chains):
        line = generations(policy, normal_rows(seed), Normal, count, seed=seed)
        found[seed] = [g.rows[TARGET].var(ddof=1) for g in line]
    return found / found[:, :1]


def alive(policy, chains, count):
    """Return the share of the 50 categories that each chain still holds at every generation."""
    return np.array([
        [g.rows[TARGET].nunique() / 50 for g in generations(policy, zipf_rows(seed), Shares, count, seed=seed)]
        for seed in range(chains)
    ])  # fmt: skip


def test_replacing_shrinks_a_normal_distribution_as_theory_says():
    medians = np.median(variances("replace", 300, 50), axis=0)
    # exp(-g / (M - 1)) is where the median goes.
    assert abs(medians[10] - 0.87) < 0.05
    assert abs(medians[50] - 0.61) < 0.06


def test_accumulating_keeps_the_variance():
    assert np.median(variances("accumulate", 60, 30), axis=0)[[10, 30]].min() > 0.95


def test_replacing_loses_categories_and_accumulating_none():
    replaced = np.median(alive("replace", 40, 50), axis=0)
    start = replaced[0]
    assert abs(replaced[10] / start - 0.59) < 0.06
    assert abs(replaced[50] / start - 0.25) < 0.06
    kept = alive("accumulate", 5, 20)
    assert (kept == kept[:, :1]).all()


def test_a_share_of_real_rows_keeps_most():
    fixed = np.median(alive("fixed", 40, 30), axis=0)
    replaced = np.median(alive("replace", 40, 30), axis=0)
    assert fixed[30] > replaced[30] + 0.2


@pytest.mark.parametrize(
    ("policy", "rows", "real"), [("replace", 100, 0), ("accumulate", 400, 100), ("fixed", 100, 30)]
)
def test_generations_have_the_rows_and_depths_of_their_policy(policy, rows, real):
    *_, last = generations(policy, normal_rows(0), Normal, 3, real_share=0.3)
    assert len(last.rows) == rows
    assert (last.depth == 0).sum() == real
    assert last.depth.max() == 3
    assert len(last.depth) == len(last.rows)


def test_a_row_is_one_deeper_than_the_deepest_that_its_synthesizer_saw():
    real = first_generation(normal_rows(0))
    first = next_generation("fixed", real, real, Normal(), categorical=(), real_share=0.5, seed=1)
    assert sorted(set(first.depth.tolist())) == [0, 1]
    second = next_generation("fixed", first, real, Normal(), categorical=(), real_share=0.5, seed=2)
    assert sorted(set(second.depth.tolist())) == [0, 2]
    # Rows that accumulate keep the depth they were made with.
    third = next_generation("accumulate", second, real, Normal(), categorical=(), real_share=0.5, seed=3)
    assert sorted(set(third.depth.tolist())) == [0, 2, 3]


def test_the_same_seed_gives_the_same_generations():
    one, other = ([g.rows for g in generations("replace", normal_rows(3), Normal, 4, seed=7)] for _ in range(2))
    assert all(a.equals(b) for a, b in zip(one, other, strict=True))
    different = [g.rows for g in generations("replace", normal_rows(3), Normal, 4, seed=8)]
    assert not one[1].equals(different[1])
