"""The teacher: an ensemble of diverse models, chosen by out-of-fold loss on the real training rows.

Greedy selection with replacement after Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.records import TaskType
from curator.table import ENCODERS, Encoding

if TYPE_CHECKING:
    import pandas as pd

SELECTION_STEPS = 25
_LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class Member:
    """One model of the library."""

    name: str
    encoding: Encoding
    build: Callable[[list[int], int], Any]


def library(task: TaskType) -> list[Member]:
    """Return the models that the teacher is chosen from."""
    from sklearn import ensemble, linear_model

    regression = task == "regression"
    boost = ensemble.HistGradientBoostingRegressor if regression else ensemble.HistGradientBoostingClassifier
    forest = ensemble.RandomForestRegressor if regression else ensemble.RandomForestClassifier
    extra = ensemble.ExtraTreesRegressor if regression else ensemble.ExtraTreesClassifier

    def linear(strength: float) -> Callable[[list[int], int], Any]:
        if regression:
            return lambda _codes, _seed: linear_model.Ridge(alpha=strength)
        return lambda _codes, _seed: linear_model.LogisticRegression(C=1 / strength, max_iter=2000)

    def trees(kind: Any, leaf: int) -> Callable[[list[int], int], Any]:
        return lambda _codes, seed: kind(n_estimators=100, min_samples_leaf=leaf, random_state=seed)

    def boosted(rounds: int, leaves: int, rate: float) -> Callable[[list[int], int], Any]:
        return lambda codes, seed: boost(
            max_iter=rounds, max_leaf_nodes=leaves, learning_rate=rate, categorical_features=codes,
            early_stopping=False, random_state=seed,
        )  # fmt: skip

    return [
        Member("linear", "one_hot", linear(1.0)),
        Member("linear_smooth", "one_hot", linear(30.0 if regression else 10.0)),
        Member("forest", "ordinal", trees(forest, 2)),
        Member("extra_trees", "ordinal", trees(extra, 1)),
        Member("extra_trees_smooth", "ordinal", trees(extra, 5)),
        Member("boosting_shallow", "ordinal", boosted(60, 5, 0.1)),
        Member("boosting", "ordinal", boosted(50, 12, 0.1)),
    ]


class Teacher:
    """Predicts targets; knows how it does on rows it has not seen.

    Attributes
    ----------
    out_of_fold : array of shape (n, n_classes) or (n,)
        For each training row, the ensemble's prediction by models that had not seen it.
    weights : dict of str to float
        Share of each chosen member.
    """

    def __init__(self, task: TaskType, n_classes: int, categorical: tuple[str, ...], seed: int) -> None:
        self.task, self.n_classes, self.categorical, self.seed = task, n_classes, categorical, seed

    def fit(self, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray) -> Teacher:
        """Choose the ensemble out of fold, then refit its members on all rows.

        Parameters
        ----------
        rows : DataFrame
            Plain features, shape (n, n_features).
        y, weight : arrays of shape (n,)
        """
        members = library(self.task)
        shape = (len(y),) if self.task == "regression" else (len(y), self.n_classes)
        guesses = np.zeros((len(members), *shape))
        for learn, judge in self._inner_folds(y):
            part, rest = rows.iloc[learn], rows.iloc[judge]
            if self.task != "regression" and len(np.unique(y[learn])) == 1:
                guesses[:, judge, y[learn][0]] = 1.0  # nothing to tell apart here
                continue
            encoded = {name: kind(self.categorical).fit(part) for name, kind in ENCODERS.items()}
            for i, member in enumerate(members):
                encoder = encoded[member.encoding]
                model = self._fit(member, encoder.categorical, encoder.transform(part), y[learn], weight[learn])
                guesses[i, judge] = self._guess(model, encoder.transform(rest))
        chosen = self._select(guesses, y, weight)
        self.weights = {members[i].name: share for i, share in chosen.items()}
        self.out_of_fold = sum(share * guesses[i] for i, share in chosen.items())
        self._encoders = {name: kind(self.categorical).fit(rows) for name, kind in ENCODERS.items()}
        self._members = []
        for i, share in chosen.items():
            encoder = self._encoders[members[i].encoding]
            model = self._fit(members[i], encoder.categorical, encoder.transform(rows), y, weight)
            self._members.append((members[i], model, share))
        return self

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return class probabilities, shape (m, n_classes), or values, shape (m,)."""
        if len(rows) == 0:
            return np.empty((0,) if self.task == "regression" else (0, self.n_classes))
        encoded = {name: encoder.transform(rows) for name, encoder in self._encoders.items()}
        total: np.ndarray = sum(share * self._guess(model, encoded[m.encoding]) for m, model, share in self._members)  # type: ignore[assignment]
        return total

    def _inner_folds(self, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        from sklearn.model_selection import KFold, StratifiedKFold

        folds = 5 if len(y) < 500 else 3
        # Stratifying needs one class at least that is as large as the number of folds.
        plain = self.task == "regression" or np.bincount(y).max() < folds
        kind = KFold if plain else StratifiedKFold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes rarer than the folds: their probability comes from the others
            return list(kind(n_splits=folds, shuffle=True, random_state=self.seed).split(y, y))

    def _fit(self, member: Member, codes: list[int], X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Any:
        model = member.build(codes, self.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model that stops early is one opinion among seven
            return model.fit(X, y, sample_weight=weight)

    def _guess(self, model: Any, X: np.ndarray) -> np.ndarray:
        if self.task == "regression":
            values: np.ndarray = model.predict(X)
            return values
        chances = np.zeros((len(X), self.n_classes))
        chances[:, model.classes_] = model.predict_proba(X)
        return chances

    def _select(self, guesses: np.ndarray, y: np.ndarray, weight: np.ndarray) -> dict[int, float]:
        counts = np.zeros(len(guesses), dtype=int)
        total = np.zeros_like(guesses[0])
        for step in range(1, SELECTION_STEPS + 1):
            losses = [self._loss((total + guess) / step, y, weight) for guess in guesses]
            best = int(np.argmin(losses))
            counts[best] += 1
            total += guesses[best]
        return {int(i): counts[i] / SELECTION_STEPS for i in np.flatnonzero(counts)}

    def _loss(self, guess: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
        if self.task == "regression":
            return float(np.average((y - guess) ** 2, weights=weight))
        own = np.clip(guess[np.arange(len(y)), y], _LEAST_CHANCE, None)
        return float(np.average(-np.log(own), weights=weight))
