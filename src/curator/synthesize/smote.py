"""`smote`: imbalanced-learn's SMOTE and SMOTENC as a source of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.synthesize.per_class import split_count
from curator.synthesize.protocol import TARGET

if TYPE_CHECKING:
    import pandas as pd

_MISSING_WORD = "\x00missing"


class Smote:
    """Interpolates between neighbours of one class (Chawla et al., JAIR 2002).

    Missing numbers are filled with the class's median (SMOTE takes none), a missing category counts as one of its own.
    A class with a single row cannot be interpolated and yields no candidates.

    Parameters
    ----------
    k_neighbors : int
        Neighbours within the class; fewer where a class is smaller.
    """

    def __init__(self, k_neighbors: int = 5) -> None:
        if not 1 <= int(k_neighbors) <= 100:
            raise ValueError(f"k_neighbors must be between 1 and 100, got {k_neighbors}")
        self.k_neighbors = int(k_neighbors)
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Classes that could not be interpolated."""
        return tuple(self._notes)

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:  # noqa: ARG002  # protocol
        """Keep the rows, completed; see `Synthesizer.fit`."""
        if TARGET not in categorical:
            raise ValueError("smote needs classes")
        self._columns = list(rows.columns)
        self._labels = rows[TARGET].to_numpy(object)
        features = rows.drop(columns=TARGET)
        self._words = [c for c in features.columns if c in categorical]
        self._numbers = [c for c in features.columns if c not in categorical]
        filled = features.copy()
        for name in self._words:
            filled[name] = features[name].where(features[name].notna(), _MISSING_WORD).astype(object)
        for name in self._numbers:
            if features[name].isna().all():
                filled[name] = 0.0
                continue
            by_class = features[name].groupby(self._labels).transform("median")
            filled[name] = features[name].fillna(by_class).fillna(features[name].median())
        self._filled = filled
        counts = rows[TARGET].value_counts()
        usable = counts[counts > 1]
        self._shares = {str(label): float(n) / int(usable.sum()) for label, n in usable.items()}
        self._notes = [f"class {label!r} has one row: nothing to interpolate" for label in counts[counts == 1].index]

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """Draw classes in their real proportion; see `Synthesizer.sample`."""
        return self.sample_classes(split_count(n, self._shares), seed=seed)

    def sample_classes(self, counts: Mapping[str, int], *, seed: int) -> pd.DataFrame:
        """See `ClassSampler.sample_classes`."""
        import pandas as pd

        parts = [
            self._of_class(label, counts[label], seed + number)
            for number, label in enumerate(sorted(self._shares))
            if counts.get(label, 0)
        ]
        if not parts:
            return pd.DataFrame(columns=self._columns)
        joined = pd.concat(parts, ignore_index=True)
        for name in self._words:
            joined[name] = joined[name].astype(object).where(joined[name] != _MISSING_WORD, np.nan)
        order = np.random.default_rng(seed).permutation(len(joined))
        return joined[self._columns].iloc[order].reset_index(drop=True)

    def _of_class(self, label: str, n: int, seed: int) -> pd.DataFrame:
        import pandas as pd

        own = int((self._labels == label).sum())
        # SMOTENC needs every class present; candidates come after the rows it was given.
        sampler = self._sampler({label: own + n}, min(self.k_neighbors, own - 1), seed)
        codes = np.where(self._labels == label, label, "\x00rest").astype(object)
        X, _ = sampler.fit_resample(self._matrix(), codes)
        made = X[len(codes) :]
        parts: dict[str, Any] = {name: made[:, i].astype(float) for i, name in enumerate(self._numbers)}
        parts |= {name: made[:, len(self._numbers) + i] for i, name in enumerate(self._words)}
        parts[TARGET] = label
        return pd.DataFrame(parts)

    def _matrix(self) -> np.ndarray:
        ordered = self._filled[[*self._numbers, *self._words]]
        return ordered.to_numpy(object) if self._words else ordered.to_numpy(float)

    def _sampler(self, strategy: dict[str, int], neighbours: int, seed: int) -> Any:
        from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

        settings = {"sampling_strategy": strategy, "k_neighbors": neighbours, "random_state": seed}
        if not self._words:
            return SMOTE(**settings)
        if not self._numbers:
            return SMOTEN(**settings)
        positions = list(range(len(self._numbers), len(self._numbers) + len(self._words)))
        return SMOTENC(categorical_features=positions, **settings)
