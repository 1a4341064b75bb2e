"""`neighbours`: a real row, part of it moved toward one of its near neighbours.

After MUNGE (Bucila, Caruana, Niculescu-Mizil, KDD 2006), on mixed columns: candidates stay on the data's manifold,
which makes them the best ground for labels from a teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from curator.synthesize.protocol import TARGET
from curator.table import DistanceRows, NearestRows

if TYPE_CHECKING:
    import pandas as pd


class Neighbours:
    """Candidates between real rows.

    Parameters
    ----------
    neighbours : int
        How many nearest rows one is chosen from.
    probability : float
        Chance of each feature to be moved: a number by a uniform share of the way, a category all the way.
    """

    def __init__(self, neighbours: int = 5, probability: float = 0.5) -> None:
        if not 1 <= int(neighbours) <= 100:
            raise ValueError(f"neighbours must be between 1 and 100, got {neighbours}")
        if not 0 < float(probability) <= 1:
            raise ValueError(f"probability must be above 0 and at most 1, got {probability}")
        self.neighbours, self.probability = int(neighbours), float(probability)
        self.notes: tuple[str, ...] = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:  # noqa: ARG002  # protocol
        """Find each row's nearest rows, by `DistanceRows` over the features."""
        self._columns = list(rows.columns)
        features = rows.drop(columns=[TARGET], errors="ignore")
        self._words = [c for c in features.columns if c in categorical]
        self._numbers = [c for c in features.columns if c not in categorical]
        self._target = rows[TARGET].to_numpy() if TARGET in rows else None
        self._classes = TARGET in categorical
        self._word_values = features[self._words].to_numpy(object)
        self._number_values = features[self._numbers].to_numpy(float)
        points = DistanceRows(categorical).fit(features).transform(features)
        self._near = NearestRows(points, queries=len(points)).own(self.neighbours)[1]

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """Start from every row equally often; see `Synthesizer.sample`."""
        rng = np.random.default_rng(seed)
        rows = len(self._near)
        rounds = -(-n // rows)
        bases = np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:n] if n else np.empty(0, dtype=np.int64)
        return self._from(bases, rng)

    def sample_classes(self, counts: Mapping[str, int], *, seed: int) -> pd.DataFrame:
        """Start from rows of the class; see `ClassSampler.sample_classes`."""
        rng = np.random.default_rng(seed)
        bases = []
        for label, count in sorted(counts.items()):
            own = np.flatnonzero(self._target == label)
            if len(own) and count:
                rounds = -(-count // len(own))
                bases.append(np.concatenate([rng.permutation(own) for _ in range(rounds)])[:count])
        chosen = np.concatenate(bases) if bases else np.empty(0, dtype=np.int64)
        return self._from(rng.permutation(chosen), rng)

    def _from(self, bases: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        import pandas as pd

        n = len(bases)
        partners = self._near[bases, rng.integers(0, self._near.shape[1], n)]
        here, there = self._number_values[bases], self._number_values[partners]
        moved = rng.random(here.shape) < self.probability
        share = rng.random(here.shape)
        # Between a number and a missing value there is nothing: take the neighbour's.
        between = np.where(np.isnan(here) | np.isnan(there), there, here + share * (there - here))
        numbers = np.where(moved, between, here)
        swapped = rng.random((n, len(self._words))) < self.probability
        words = np.where(swapped, self._word_values[partners], self._word_values[bases])
        parts = {name: numbers[:, i] for i, name in enumerate(self._numbers)}
        parts |= {name: words[:, i] for i, name in enumerate(self._words)}
        if self._target is not None:
            parts[TARGET] = self._target[bases]
            if not self._classes:
                steps = np.concatenate([np.where(moved, share, 0.0), swapped], axis=1).mean(axis=1)
                values = self._target.astype(float)
                parts[TARGET] = values[bases] + steps * (values[partners] - values[bases])
        return pd.DataFrame(parts)[self._columns]
