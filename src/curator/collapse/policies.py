"""What a table may do with its own output: the policies, and one generation of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from curator.synthesize import TARGET, Synthesizer

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["replace", "accumulate", "fixed", "curated"]
# Those that refit a synthesizer on whatever the last generation has left; `curated` is a run of its own.
NAIVE: tuple[Policy, ...] = ("replace", "accumulate", "fixed")
POLICIES: tuple[Policy, ...] = (*NAIVE, "curated")
ABOUT_POLICIES = {
    "replace": "each generation is fitted to the last one's output, and takes its place",
    "accumulate": "each generation is fitted to all rows so far, and its output is added to them",
    "fixed": "a fixed share of each generation is real rows, drawn anew; the rest is fitted to the last generation",
    "curated": "each generation is curated from the last one's dataset: synthesizers see its real rows alone",
}


@dataclass(frozen=True, eq=False)
class Generation:
    """The rows of one generation.

    Attributes
    ----------
    rows : DataFrame
        In plain form, the target in the column `TARGET`; n rows.
    depth : int array of shape (n,)
        0 for real rows; for others 1 more than the deepest row that their synthesizer was fitted to.
    weight : array of shape (n,), optional
        What rows weigh in training; all alike by default.
    """

    rows: pd.DataFrame
    depth: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Chain:
    """One policy with one synthesizer and one seed, from generation 0 on; `curated` has a mix of synthesizers.

    Attributes
    ----------
    setting : float, optional
        What else decides it: the real share of `fixed`, the trials of `curated`.
    """

    policy: Policy
    source: str
    seed: int
    setting: float | None = None

    def name(self, number: int) -> str:
        """Return what the folder of one of its generations is called."""
        setting = "" if self.setting is None else f"-{self.setting:g}"
        return f"{self.policy}{setting}-{self.source}-s{self.seed}-g{number:03d}"


def first_generation(rows: pd.DataFrame, weight: np.ndarray | None = None) -> Generation:
    """Return real rows as generation 0."""
    return Generation(rows, np.zeros(len(rows), dtype=np.int64), weight)


def next_generation(
    policy: Policy,
    last: Generation,
    first: Generation,
    synthesizer: Synthesizer,
    *,
    categorical: Sequence[str],
    real_share: float,
    seed: int,
) -> Generation:
    """Fit a synthesizer to the last generation, and return the next.

    Parameters
    ----------
    policy : {'replace', 'accumulate', 'fixed'}
    last : Generation
    first : Generation
        The n real rows that it all began with; as many rows are made, less those that policy `fixed` takes of these.
    synthesizer : Synthesizer
        Unfitted.
    categorical : sequence of str
        Columns of words, at classification `TARGET` among them.
    real_share : float
        Of policy `fixed`.
    """
    import pandas as pd

    n = len(first.rows)
    drawn = round(real_share * n) if policy == "fixed" else 0
    synthesizer.fit(_representative(last, seed), categorical=tuple(categorical), seed=seed)
    made = _made(synthesizer, n - drawn, seed + 1, categorical)
    depth = np.full(len(made), int(last.depth.max()) + 1)
    if policy == "replace":
        return Generation(made, depth)
    if policy == "accumulate":
        kept = last
    else:
        own = np.sort(np.random.default_rng([seed, 53]).choice(n, drawn, replace=False))
        kept = first_generation(first.rows.iloc[own], None if first.weight is None else first.weight[own])
    rows = pd.concat([kept.rows, made], ignore_index=True) if len(kept.rows) else made
    weight = None if kept.weight is None else np.concatenate([kept.weight, np.ones(len(made))])
    return Generation(rows, np.concatenate([kept.depth, depth]), weight)


def _representative(last: Generation, seed: int) -> pd.DataFrame:
    """Return rows that all weigh alike: synthesizers know no weights, and what they make weighs 1."""
    if last.weight is None:
        return last.rows
    shares = last.weight / last.weight.sum()
    drawn = np.random.default_rng([seed, 73]).choice(len(shares), len(shares), p=shares)
    return last.rows.iloc[np.sort(drawn)].reset_index(drop=True)


def _made(synthesizer: Synthesizer, n: int, seed: int, categorical: Sequence[str]) -> pd.DataFrame:
    made = synthesizer.sample(n, seed=seed)
    words = {name: made[name].astype(object).where(made[name].notna(), np.nan) for name in categorical}
    return made.assign(**words)[made[TARGET].notna()].reset_index(drop=True)


def generations(
    policy: Policy,
    real: pd.DataFrame,
    build: Callable[[], Synthesizer],
    count: int,
    *,
    categorical: Sequence[str] = (),
    real_share: float = 0.1,
    seed: int = 0,
) -> Iterator[Generation]:
    """Yield generation 0, which is the real rows, and `count` more."""
    first = last = first_generation(real)
    yield last
    for number in range(1, count + 1):
        last = next_generation(
            policy, last, first, build(), categorical=categorical, real_share=real_share,
            seed=generation_seed(seed, number),
        )  # fmt: skip
        yield last


def generation_seed(seed: int, number: int) -> int:
    """Return the seed of one generation."""
    return int(np.random.default_rng([seed, number, 59]).integers(2**31 - 2))
