"""The teacher: an ensemble of diverse models, chosen by out-of-fold loss on the real training rows.

Greedy selection with replacement after Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import CuratorError, reason_of
from curator.estimators import Estimator
from curator.predictions import chances, values
from curator.quantiles import quick_quantiles
from curator.rare import AllOf, drawn_in, high_loss_regions
from curator.records import TaskType
from curator.score.calibration import AS_IT_IS, Calibration, fit_calibration
from curator.score.network import Networks
from curator.score.regional import (
    Correction,
    corrected,
    corrected_by_others,
    first_region,
    fit_correction,
    is_better,
    losses_of,
)
from curator.table import ENCODERS, Encoding, inner_folds
from curator.versions import check_same_code

if TYPE_CHECKING:
    import pandas as pd

SELECTION_STEPS = 25
# With this many rows, models that the first inner fold has no use for are not tried on the others (the best few are).
RACE_FROM_ROWS = 1500
_ALWAYS_KEPT = 3
_LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class Member:
    """One model of the library; `build` is told the columns of codes, and a seed."""

    name: str
    encoding: Encoding
    build: Callable[[list[int], int], Any]
    takes_weights: bool = True


@dataclass(frozen=True)
class Faculty:
    """The models that a teacher is chosen from.

    Attributes
    ----------
    library : bool
        Whether the built-in ones are among them.
    models : tuple of (Estimator, str)
        What the recipe brings along, each with the version of its code.
    """

    library: bool = True
    models: tuple[tuple[Estimator, str], ...] = ()

    def members(self, task: TaskType) -> list[Member]:
        """Return every model; two of one name are told apart by a number."""
        found = library(task) if self.library else []
        for estimator, code in self.models:
            check_same_code(estimator.path, code, estimator.code)
            taken = sum(m.name.split("#")[0] == estimator.label for m in found)
            name = f"{estimator.label}#{taken + 1}" if taken else estimator.label
            found.append(Member(name, estimator.encoding, _builder(estimator), estimator.takes_weights))
        return found


@contextmanager
def _explained(member: Member, rows: int) -> Iterator[None]:
    """Say whose failure it was."""
    try:
        yield
    except Exception as error:  # models of one's own may raise anything that code does
        raise CuratorError(f"the teacher's {member.name} failed on {rows} rows: {reason_of(error)}") from error


def _builder(estimator: Estimator) -> Callable[[list[int], int], Any]:
    return lambda codes, seed: estimator.build(seed, tuple(codes))


def library(task: TaskType) -> list[Member]:
    """Return the models that the teacher is chosen from: a few that differ."""
    from sklearn import ensemble, linear_model

    regression = task == "regression"
    boost = ensemble.HistGradientBoostingRegressor if regression else ensemble.HistGradientBoostingClassifier
    forest = ensemble.RandomForestRegressor if regression else ensemble.RandomForestClassifier
    extra = ensemble.ExtraTreesRegressor if regression else ensemble.ExtraTreesClassifier

    def linear(strength: float) -> Callable[[list[int], int], Any]:
        if regression:
            return lambda _codes, _seed: linear_model.Ridge(alpha=strength)
        return lambda _codes, _seed: linear_model.LogisticRegression(C=1 / strength, max_iter=2000)

    def trees(kind: Any, leaf: int, columns: float | str) -> Callable[[list[int], int], Any]:
        return lambda _codes, seed: kind(
            n_estimators=100, min_samples_leaf=leaf, max_features=columns, random_state=seed
        )

    def boosted(
        rounds: int, leaves: int, rate: float, *, shrink: float = 0.0, columns: float = 1.0, leaf: int = 20
    ) -> Callable[[list[int], int], Any]:
        return lambda codes, seed: boost(
            max_iter=rounds, max_leaf_nodes=leaves, learning_rate=rate, l2_regularization=shrink, max_features=columns,
            min_samples_leaf=leaf, categorical_features=codes, early_stopping=False, random_state=seed,
        )  # fmt: skip

    # A round is a tree for each class.
    rounds = 100 if task == "multiclass" else 300
    every, some = (1.0, 0.5) if regression else ("sqrt", 1.0)
    return [
        Member("linear", "one_hot", linear(1.0)),
        Member("linear_smooth", "one_hot", linear(30.0 if regression else 10.0)),
        Member("network", "one_hot", lambda _codes, seed: Networks(classes=not regression, seed=seed)),
        Member("forest", "ordinal", trees(forest, 2, 0.5)),
        Member("extra_trees", "ordinal", trees(extra, 1, every)),
        Member("extra_trees_wide", "ordinal", trees(extra, 2, some)),
        Member("boosting_stumps", "ordinal", boosted(150, 2, 0.1)),
        Member("boosting_slow", "ordinal", boosted(150, 8, 0.05, shrink=1.0, columns=0.5)),
        Member("boosting_long", "ordinal", boosted(rounds, 16, 0.1, shrink=1.0, columns=0.5, leaf=5)),
    ]


@dataclass(frozen=True, eq=False)
class Choice:
    """Which models make a teacher, with the share of each; how it is put right; what it says of rows not seen.

    Models that failed are `left_out`, each in a sentence.
    """

    weights: Mapping[str, float]
    out_of_fold: np.ndarray
    regions: tuple[AllOf, ...] = ()
    calibration: Calibration = AS_IT_IS
    left_out: tuple[str, ...] = ()


class Teacher:
    """Predicts targets; knows how it does on rows it has not seen.

    Attributes
    ----------
    out_of_fold : array of shape (n, n_classes) or (n,)
        For each training row, the ensemble's prediction by models (and corrections) that had not seen it. Only the
        calibration's one or two figures come from all of them.
    weights : dict of str to float
        Share of each chosen member.
    corrections : tuple of Correction
        Regions in which the ensemble is wrong, and what is made of its predictions there.
    """

    def __init__(
        self, task: TaskType, n_classes: int, categorical: tuple[str, ...], seed: int, faculty: Faculty | None = None,
        dates: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.task, self.n_classes, self.categorical, self.seed = task, n_classes, categorical, seed
        self._dates = dates
        self._faculty = faculty or Faculty()

    def fit(self, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray, group: np.ndarray | None = None) -> Teacher:
        """Choose the ensemble out of fold, then train its members on all rows; see `choose`."""
        return self.train(rows, y, weight, self.choose(rows, y, weight, group))

    def choose(self, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray, group: np.ndarray | None = None) -> Choice:
        """Choose the ensemble by what each model says of rows that it has not seen.

        Parameters
        ----------
        rows : DataFrame
            Plain features, shape (n, n_features).
        y, weight : arrays of shape (n,)
        group : int array of shape (n,), optional
            Rows of one group are never on both sides of an inner fold.

        Raises
        ------
        CuratorError
            When the last model fails; others are left out.
        """
        members = self._faculty.members(self.task)
        running, left_out = list(range(len(members))), list[str]()
        shape = (len(y),) if self.task == "regression" else (len(y), self.n_classes)
        guesses = np.zeros((len(members), *shape))
        for learn, judge in self._inner_folds(y, group):
            part, rest = rows.iloc[learn], rows.iloc[judge]
            if self.task != "regression" and len(np.unique(y[learn])) == 1:
                guesses[:, judge, y[learn][0]] = 1.0  # nothing to tell apart here
                continue
            encoded = {name: kind(self.categorical).fit(part) for name, kind in ENCODERS.items()}
            for i in list(running):
                encoder = encoded[members[i].encoding]
                X, others = encoder.transform(part), encoder.transform(rest)
                try:
                    model = self._fit(members[i], encoder.categorical, X, y[learn], weight[learn])
                    guesses[i, judge] = self._guess(members[i], model, others)
                except CuratorError as error:
                    running.remove(i)
                    left_out.append(f"{error}; it is left out")
                    if not running:
                        raise
            if len(running) + len(left_out) == len(members) and len(y) >= RACE_FROM_ROWS:
                going_on = self._worth_going_on(guesses[running][:, judge], y[judge], weight[judge])
                running = [running[k] for k in going_on]
        chosen = {running[i]: share for i, share in self._select(guesses[running], y, weight).items()}
        mean = np.asarray(sum(share * guesses[i] for i, share in chosen.items()))
        shares = {members[i].name: float(share) for i, share in chosen.items()}
        calibration = fit_calibration(y, weight, mean, group)
        choice = Choice(shares, calibration.of(mean), calibration=calibration, left_out=tuple(left_out))
        return self._put_right(choice, mean, rows, y, weight, group)

    def train(self, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray, choice: Choice) -> Teacher:
        """Train the chosen members on all rows."""
        self.weights, self.out_of_fold = choice.weights, choice.out_of_fold
        place = first_region(rows, choice.regions)
        self._train(rows[place < 0], y[place < 0], weight[place < 0], choice)
        self.corrections = tuple(
            Correction(
                region, fit_correction(y[place == k], weight[place == k], self._ensemble(rows[place == k]))
            )
            for k, region in enumerate(choice.regions)
        )
        return self

    def _train(self, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray, choice: Choice) -> None:
        self._calibration = choice.calibration
        self._encoders = {name: kind(self.categorical).fit(rows) for name, kind in ENCODERS.items()}
        self._members = []
        for member in self._faculty.members(self.task):
            if member.name in choice.weights:
                encoder = self._encoders[member.encoding]
                model = self._fit(member, encoder.categorical, encoder.transform(rows), y, weight)
                self._members.append((member, model, choice.weights[member.name]))

    def _put_right(
        self, choice: Choice, mean: np.ndarray, rows: pd.DataFrame, y: np.ndarray, weight: np.ndarray,
        group: np.ndarray | None,
    ) -> Choice:  # fmt: skip
        """Return the choice with the regions in which predictions are better once they are corrected.

        What other rows need of calibration is told by them alone: a region that is all wrong asks for doubt everywhere.
        `mean` is the ensemble's word out of fold, as it is.
        """
        before = choice.out_of_fold
        losses = losses_of(y, before)
        # A region of the past is of no use.
        known = rows.drop(columns=[*self._dates])
        found = high_loss_regions(known, self.categorical, losses, group)
        regions: tuple[AllOf, ...] = ()
        kept = tuple(drawn_in(region, known, losses) for region in found)
        while kept and kept != regions:
            # Rows that two regions share are the first one's, so that each is judged among those that stay with it.
            regions, after = kept, before.copy()
            place = first_region(rows, regions)
            if not self._can_learn_outside(y, place):
                return choice
            rest = place < 0
            theirs = None if group is None else group[rest]
            outside = replace(choice, calibration=fit_calibration(y[rest], weight[rest], mean[rest], theirs))
            after[rest] = outside.calibration.of(mean[rest])
            try:
                self._train(rows[rest], y[rest], weight[rest], outside)
            except CuratorError:  # a model of one's own may need the rows that it is not given
                return choice
            for k in range(len(regions)):
                own = place == k
                parts, together = (y[own], weight[own]), None if group is None else group[own]
                by_others = corrected_by_others(*parts, self._ensemble(rows[own]), together)
                if is_better(*parts, before[own], by_others, together):
                    after[own] = by_others
                else:
                    kept = tuple(r for r in kept if r != regions[k])
        return replace(outside, out_of_fold=after, regions=regions) if kept else choice

    def _can_learn_outside(self, y: np.ndarray, place: np.ndarray) -> bool:
        """Whether the rows outside of all regions have every class, or are some at least."""
        outside = y[place < 0]
        return len(outside) > 0 and (self.task == "regression" or len(np.unique(outside)) == len(np.unique(y)))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return class probabilities, shape (m, n_classes), or values, shape (m,)."""
        if len(rows) == 0:
            return np.empty((0,) if self.task == "regression" else (0, self.n_classes))
        return corrected(self._ensemble(rows), rows, self.corrections)

    def _ensemble(self, rows: pd.DataFrame) -> np.ndarray:
        encoded = {name: encoder.transform(rows) for name, encoder in self._encoders.items()}
        total: np.ndarray = sum(share * self._guess(m, model, encoded[m.encoding]) for m, model, share in self._members)  # type: ignore[assignment]
        return self._calibration.of(total)

    def _inner_folds(self, y: np.ndarray, group: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        # Of a class rarer than the folds some know nothing: its probability comes from the others.
        return inner_folds(y, 5 if len(y) < 500 else 3, self.seed, group, classes=self.task != "regression")

    def _fit(self, member: Member, codes: list[int], X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Any:
        extra = {"sample_weight": weight} if member.takes_weights else {}
        with _explained(member, len(y)), quick_quantiles(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model that stops early is one opinion among several
            model = member.build(codes, self.seed)
            fitted = model.fit(X, y, **extra)
            return model if fitted is None else fitted

    def _guess(self, member: Member, model: Any, X: np.ndarray) -> np.ndarray:
        with _explained(member, len(X)):
            return values(model, X) if self.task == "regression" else chances(model, X, self.n_classes)

    def _select(self, guesses: np.ndarray, y: np.ndarray, weight: np.ndarray) -> dict[int, float]:
        counts = np.zeros(len(guesses), dtype=int)
        total = np.zeros_like(guesses[0])
        for step in range(1, SELECTION_STEPS + 1):
            losses = [self._loss((total + guess) / step, y, weight) for guess in guesses]
            best = int(np.argmin(losses))
            counts[best] += 1
            total += guesses[best]
        return {int(i): counts[i] / SELECTION_STEPS for i in np.flatnonzero(counts)}

    def _worth_going_on(self, guesses: np.ndarray, y: np.ndarray, weight: np.ndarray) -> list[int]:
        """Return the models that are chosen here, and the best few alone."""
        alone = np.argsort([self._loss(guess, y, weight) for guess in guesses], kind="stable")
        return sorted({*self._select(guesses, y, weight), *alone[:_ALWAYS_KEPT].tolist()})

    def _loss(self, guess: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
        if self.task == "regression":
            return float(np.average((y - guess) ** 2, weights=weight))
        own = np.clip(guess[np.arange(len(y)), y], _LEAST_CHANCE, None)
        return float(np.average(-np.log(own), weights=weight))
