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


def first_generation(rows: pd.DataFrame) -> Generation:
    """Return real rows as generation 0."""
    return Generation(rows, np.zeros(len(rows), dtype=np.int64))


def next_generation(
    policy: Policy,
    last: Generation,
    real: pd.DataFrame,
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
    real : DataFrame
        The n real rows that it all began with; as many rows are made, less those that policy `fixed` takes of these.
    synthesizer : Synthesizer
        Unfitted.
    categorical : sequence of str
        Columns of words, at classification `TARGET` among them.
    real_share : float
        Of policy `fixed`.
    """
    import pandas as pd

    n = len(real)
    drawn = round(real_share * n) if policy == "fixed" else 0
    synthesizer.fit(last.rows, categorical=tuple(categorical), seed=seed)
    made = _made(synthesizer, n - drawn, seed + 1)
    depth = np.full(len(made), int(last.depth.max()) + 1)
    if policy == "replace":
        return Generation(made, depth)
    if policy == "accumulate":
        kept = last
    else:
        own = np.sort(np.random.default_rng([seed, 53]).choice(n, drawn, replace=False))
        kept = first_generation(real.iloc[own])
    rows = pd.concat([kept.rows, made], ignore_index=True) if len(kept.rows) else made
    return Generation(rows, np.concatenate([kept.depth, depth]))


def _made(synthesizer: Synthesizer, n: int, seed: int) -> pd.DataFrame:
    made = synthesizer.sample(n, seed=seed)
    return made[made[TARGET].notna()].reset_index(drop=True)


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
    last = first_generation(real)
    yield last
    for number in range(1, count + 1):
        last = next_generation(
            policy, last, real, build(), categorical=categorical, real_share=real_share,
            seed=generation_seed(seed, number),
        )  # fmt: skip
        yield last


def generation_seed(seed: int, number: int) -> int:
    """Return the seed of one generation."""
    return int(np.random.default_rng([seed, number, 59]).integers(2**31 - 2))
