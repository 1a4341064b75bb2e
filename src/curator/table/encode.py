"""Numbers for models and for distances, fitted on training rows only."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Encoding = Literal["ordinal", "one_hot"]

# Gradient boosting bins a category column into 255 values, one of them for missing.
MOST_ORDINAL_CODES = 254
MOST_ONE_HOT = 50


class Encoder(Protocol):
    """Turns plain rows into a float64 matrix."""

    categorical: list[int]

    def fit(self, rows: pd.DataFrame) -> Encoder:
        """Learn categories and scales from training rows."""

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """Return a C-contiguous float64 array of shape (n_rows, n_encoded)."""


class OrdinalRows:
    """Numbers as they are, categories as codes, missing and unseen as NaN: for trees.

    Attributes
    ----------
    categorical : list of int
        Positions of the encoded columns that hold category codes.
    """

    def __init__(self, categorical: tuple[str, ...]) -> None:
        self._names = categorical
        self.categorical: list[int] = []

    def fit(self, rows: pd.DataFrame) -> OrdinalRows:
        """Learn the categories; beyond 254 of a column the rarest share a code."""
        from sklearn.preprocessing import OrdinalEncoder

        self._order = [c for c in rows.columns if c in self._names] + [c for c in rows.columns if c not in self._names]
        self._words = [c for c in self._order if c in self._names]
        self.categorical = list(range(len(self._words)))
        # Boosting cannot bin a column without any value.
        self._empty = np.array([bool(rows[c].isna().all()) for c in self._order], dtype=bool)
        self._codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=MOST_ORDINAL_CODES,
        )
        if self._words:
            self._codes.fit(rows[self._words])
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """Return codes first, then numbers; see `Encoder.transform`."""
        if len(rows) == 0:
            return np.empty((0, len(self._order)))
        parts = [rows[self._order[len(self._words) :]].to_numpy(float)]
        if self._words:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # unseen categories become missing, which is meant
                parts.insert(0, self._codes.transform(rows[self._words]))
        encoded = np.ascontiguousarray(np.hstack(parts))
        encoded[:, self._empty] = 0.0
        return encoded


class OneHotRows:
    """Standardised numbers with indicators for missing ones, categories one-hot: for linear models and networks."""

    def __init__(self, categorical: tuple[str, ...]) -> None:
        self._names = categorical
        self.categorical: list[int] = []

    def fit(self, rows: pd.DataFrame) -> OneHotRows:
        """Learn medians, scales and categories; beyond 50 of a column the rarest share an indicator."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        words = [c for c in rows.columns if c in self._names]
        numbers = [c for c in rows.columns if c not in self._names]
        impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_ONE_HOT, sparse_output=False)
        parts: list[tuple[str, Any, list[str]]] = [
            ("numbers", make_pipeline(impute, StandardScaler()), numbers),
            ("words", one_hot, words),
        ]
        self._transform = ColumnTransformer([p for p in parts if p[2]]).fit(rows)
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """See `Encoder.transform`."""
        if len(rows) == 0:
            return np.empty((0, len(self._transform.get_feature_names_out())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unseen categories become all zeros, which is meant
            return np.ascontiguousarray(self._transform.transform(rows), dtype=float)


ENCODERS: dict[Encoding, type[OrdinalRows] | type[OneHotRows]] = {"ordinal": OrdinalRows, "one_hot": OneHotRows}


class DistanceRows:
    """Coordinates in which the Euclidean distance treats mixed columns alike, as float32.

    Numbers are scaled by their standard deviation, missing ones set to the mean; a category differs by 1 whatever
    it is (one-hot times the square root of one half). Both kinds then have comparable typical distances.
    """

    def __init__(self, categorical: tuple[str, ...]) -> None:
        self._names = categorical

    def fit(self, rows: pd.DataFrame) -> DistanceRows:
        """Learn means, scales and categories."""
        from sklearn.preprocessing import OneHotEncoder

        self._words = [c for c in rows.columns if c in self._names]
        self._numbers = [c for c in rows.columns if c not in self._names]
        values = rows[self._numbers].to_numpy(float)
        present = ~np.isnan(values)
        count = np.maximum(present.sum(axis=0), 1)
        self._mean = np.where(present, values, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(present, (values - self._mean) ** 2, 0).sum(axis=0) / count)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._one_hot = OneHotEncoder(
            handle_unknown="ignore", max_categories=255, sparse_output=False, dtype=np.float32
        )
        if self._words:
            self._one_hot.fit(rows[self._words])
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """Return a C-contiguous float32 array of shape (n_rows, n_coordinates)."""
        numbers = self._standard(rows[self._numbers].to_numpy(float))
        # A value may be immeasurably far from the training rows; it stays finite, and far.
        limit = 1e15
        parts = [
            np.clip(np.nan_to_num(numbers, nan=0.0, posinf=limit, neginf=-limit), -limit, limit).astype(np.float32)
        ]
        if self._words and len(rows):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # unseen categories are seen to below
                hot = self._one_hot.transform(rows[self._words])
            # An unseen category has no place of its own; one more coordinate keeps it as far from all others.
            unseen = np.sqrt(np.maximum(len(self._words) - hot.sum(axis=1, keepdims=True), 0.0))
            parts.append(np.hstack([hot, unseen]) * np.float32(np.sqrt(0.5)))
        return np.ascontiguousarray(np.hstack(parts), dtype=np.float32)

    def _standard(self, values: np.ndarray) -> np.ndarray:
        standard: np.ndarray = (values - self._mean) / self._scale
        return standard
