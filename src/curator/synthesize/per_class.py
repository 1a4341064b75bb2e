"""One fit per class: a joint generator dilutes a rare class, and conditioning one is biased."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from curator.synthesize.neighbours import Neighbours
from curator.synthesize.protocol import TARGET, Synthesizer

if TYPE_CHECKING:
    import pandas as pd

# Below this, a copula or a network fitted to one class degenerates.
LEAST_ROWS = 30


class PerClass:
    """Fits one synthesizer to each class without the target, and puts the target back.

    A class with fewer than 30 rows is given to `Neighbours` instead, and `notes` say so.
    """

    def __init__(self, build: Callable[[], Synthesizer]) -> None:
        self._build = build
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Fall-backs, class by class."""
        return tuple(self._notes)

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        """See `Synthesizer.fit`; needs classes."""
        if TARGET not in categorical:
            raise ValueError("one fit per class needs classes")
        features = tuple(c for c in categorical if c != TARGET)
        self._columns = list(rows.columns)
        counts = rows[TARGET].value_counts()
        self._shares = {str(label): float(n) / len(rows) for label, n in counts.items()}
        self._parts: dict[str, Synthesizer] = {}
        for number, label in enumerate(sorted(self._shares)):
            own = rows[rows[TARGET] == label].drop(columns=TARGET).reset_index(drop=True)
            part: Synthesizer = self._build()
            if len(own) < LEAST_ROWS:
                part = Neighbours()
                self._notes.append(f"class {label!r} has {len(own)} rows, under {LEAST_ROWS}: neighbours used instead")
            part.fit(own, categorical=features, seed=seed + number)
            self._notes.extend(f"class {label!r}: {note}" for note in part.notes)
            self._parts[label] = part

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """Draw classes in their real proportion; see `Synthesizer.sample`."""
        return self.sample_classes(split_count(n, self._shares), seed=seed)

    def sample_classes(self, counts: Mapping[str, int], *, seed: int) -> pd.DataFrame:
        """See `ClassSampler.sample_classes`."""
        import pandas as pd

        parts = []
        for number, label in enumerate(sorted(self._parts)):
            if counts.get(label, 0):
                part = self._parts[label].sample(counts[label], seed=seed + number)
                parts.append(part.assign(**{TARGET: label}))
        if not parts:
            return pd.DataFrame(columns=self._columns)
        joined = pd.concat(parts, ignore_index=True)[self._columns]
        return joined.iloc[np.random.default_rng(seed).permutation(len(joined))].reset_index(drop=True)


def split_count(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide `n` by shares, largest remainders first; the parts sum to `n`.

    Examples
    --------
    >>> split_count(10, {"a": 0.55, "b": 0.45})
    {'a': 6, 'b': 4}
    """
    labels = sorted(shares)
    exact = np.array([shares[label] for label in labels], dtype=float)
    exact = exact / exact.sum() * n
    whole = np.floor(exact).astype(int)
    for i in np.argsort(-(exact - whole), kind="stable")[: n - int(whole.sum())]:
        whole[i] += 1
    return dict(zip(labels, whole.tolist(), strict=True))
