"""What a search is after: every metric with every estimator, as differences to the real rows alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from curator.evaluate import Metric
from curator.records import ArmResult, MixPlan, Trial
from curator.space import Params

# What a plan came to on one fold: one number for each metric and estimator, metric by metric; then, slice by slice, the
# mean loss of each guarded slice with each estimator.
Scores = tuple[float, ...]
Gains = tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class Guard:
    """The slices that no mix may harm.

    Attributes
    ----------
    held : tuple of tuple of float
        By slice and fold, the weight of its rows among those that the fold is judged by.
    tolerance : float
    root : bool
        Whether the metric is the root of the mean of its losses; the tolerance is relative to it then.
    folds : int
        Of one repetition.
    """

    held: tuple[tuple[float, ...], ...] = ()
    tolerance: float = 0.0
    root: bool = False
    folds: int = 1

    def harm(self, place: int, real: Sequence[float], own: Sequence[float]) -> float:
        """Return by how much a slice gets worse beyond the tolerance, less one standard error; mean losses by fold.

        Folds weigh by the slice's rows. Of a slice with rows in fewer than two folds nothing is known: 0.
        """
        before, after, held = (np.array(v, dtype=float) for v in (real, own, self.held[place][: len(own)]))
        known = np.isfinite(before) & np.isfinite(after) & (held > 0)
        n = int(known.sum())
        if n < 2:
            return 0.0
        share = held[known] / held[known].sum()
        gains = before[known] - after[known]
        mean_before, mean_after = float(share @ before[known]), float(share @ after[known])
        margin = self.tolerance
        if self.root:
            # The root is taken apart to first order.
            scale = math.sqrt(mean_before) + math.sqrt(mean_after)
            gains, margin = gains / (scale if scale > 0 else 1.0), self.tolerance * math.sqrt(mean_before)
        mean = float(share @ gains)
        # More repetitions make no more independent rows.
        squares = float(share**2 @ (gains - mean) ** 2) * n / (n - 1) * n / min(n, self.folds)
        return -mean - math.sqrt(squares) - margin


@dataclass(frozen=True)
class Objective:
    """What plans are compared by.

    Attributes
    ----------
    metrics : tuple of Metric
        The first is the one that is certified.
    reference : tuple of Scores
        Real-only's, by fold.
    scales : tuple of float
        By estimator: what mixes usually make of the first metric, so that no estimator outweighs another; 1 where
        there is one estimator.
    guard : Guard
    """

    metrics: tuple[Metric, ...]
    reference: tuple[Scores, ...]
    scales: tuple[float, ...] = (1.0,)
    guard: Guard = Guard()

    @classmethod
    def of(
        cls, metrics: Sequence[Metric], ladders: Sequence[Mapping[str, ArmResult]], guard: Guard | None = None
    ) -> Objective:
        """Return the objective for the ladders of one estimator or several."""
        scales = [_usual_gain(ladder) for ladder in ladders] if len(ladders) > 1 else [1.0]
        return cls(tuple(metrics), ladder_scores(metrics, ladders, "real_only"), tuple(scales), guard or Guard())

    @property
    def single(self) -> bool:
        """Whether there is one metric and one estimator."""
        return len(self.metrics) == len(self.scales) == 1

    def gains(self, scores: Sequence[Scores]) -> Gains:
        """Return paired differences by metric, estimator and fold; the folds may be the first few.

        A fold on which a metric is not defined says nothing, for any plan. Where it is defined for real rows alone, and
        not for what a plan predicts, the plan loses as much as real rows alone come to over all folds; and see `trial`.
        """
        width = len(self.scales)
        return tuple(
            tuple(
                tuple(
                    _gain(metric, own[m * width + e], real[m * width + e], [r[m * width + e] for r in self.reference])
                    for own, real in zip(scores, self.reference, strict=False)
                )
                for e in range(width)
            )
            for m, metric in enumerate(self.metrics)
        )

    def harm(self, scores: Sequence[Scores]) -> tuple[float, ...]:
        """Return by slice how far beyond the tolerance it gets worse, for the estimator that harms it most.

        See `Guard.harm`; the folds may be the first few.
        """
        width, first = len(self.scales), len(self.metrics) * len(self.scales)
        real = self.reference[: len(scores)]

        def of(place: int) -> tuple[list[float], list[float]]:
            return [s[place] for s in real], [s[place] for s in scores]

        return tuple(
            max(self.guard.harm(k, *of(first + k * width + e)) for e in range(width))
            for k in range(len(self.guard.held))
        )

    def deltas(self, scores: Sequence[Scores]) -> tuple[float, ...]:
        """Return one difference a fold: that of the first metric, averaged over the estimators in units of `scales`."""
        first = self.gains(scores)[0]
        if len(first) == 1:
            return first[0]
        return tuple(np.mean(np.array(first) / np.array(self.scales)[:, None], axis=0).tolist())

    def trial(
        self,
        number: int,
        name: str,
        plan: MixPlan,
        params: Params,
        scores: Sequence[Scores],
        state: Literal["complete", "pruned"] = "complete",
        seconds: float = 0.0,
    ) -> Trial:
        """Return a finished trial with what it came to on the folds that it was evaluated on.

        A plan whose predictions a metric cannot judge on a fold where it can judge those of real rows is not feasible.
        """
        gains = () if self.single else self.gains(scores)
        first = tuple(s[0] for s in scores)
        harm = (*self.harm(scores), 1.0) if self._undefined(scores) else self.harm(scores)
        return Trial(number, name, plan, params, first, self.deltas(scores), state, seconds, gains, harm)

    def _undefined(self, scores: Sequence[Scores]) -> bool:
        judged = range(len(self.metrics) * len(self.scales))
        folds = zip(scores, self.reference, strict=False)
        return any(math.isfinite(real[k]) and not math.isfinite(own[k]) for own, real in folds for k in judged)


def ladder_scores(
    metrics: Sequence[Metric], ladders: Sequence[Mapping[str, ArmResult]], arm: str
) -> tuple[Scores, ...]:
    """Return what an arm of the ladder came to, by fold."""
    columns = [ladder[arm].scores[metric.name] for metric in metrics for ladder in ladders]
    columns += [ladder[arm].slices[name] for name in ladders[0][arm].slices for ladder in ladders]
    return tuple(zip(*columns, strict=True))


def _usual_gain(ladder: Mapping[str, ArmResult]) -> float:
    """Return the median size of the differences that the ladder's mixes make."""
    made = [abs(float(np.mean(a.deltas))) for a in ladder.values() if a.plan is not None and a.plan.ratio and a.deltas]
    known = [size for size in made if math.isfinite(size) and size > 0]
    return float(np.median(known)) if known else 1.0


def _gain(metric: Metric, own: float, real: float, folds: Sequence[float]) -> float:
    if not math.isfinite(real):
        return 0.0
    # No loss falls by more than all of it: the sampler sees that no other fold makes up for this one.
    return metric.gain(own, real) if math.isfinite(own) else -sum(abs(r) for r in folds if math.isfinite(r)) or -1.0


def merits(trials: Sequence[Trial], metric: int = 0) -> list[float]:
    """Return how good each trial is in one metric, among the others given; higher is better.

    With one estimator the mean difference to real-only; with several, minus the mean of the trial's ranks, so that an
    estimator whose loss moves much counts no more than one whose loss moves little.
    """
    if not trials or not trials[0].gains:
        return [t.delta for t in trials]
    means = np.array([[np.mean(folds) for folds in t.gains[metric]] for t in trials])
    if means.shape[1] == 1:
        return [float(v) for v in means[:, 0]]
    from scipy.stats import rankdata

    return [-float(v) for v in rankdata(-means, axis=0).mean(axis=1)]


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials that no other is better than in one metric, and no worse in the rest.

    In each metric by the mean difference to real-only, over folds and estimators (`Trial.means`).
    """
    complete = [t for t in trials if t.state == "complete"]
    # What differs in its last digits only is the same.
    value = np.round(np.array([t.means for t in complete]), 12)
    return [t for t, own in zip(complete, value, strict=True) if not _beaten(own, value)]


def _beaten(own: np.ndarray, others: np.ndarray) -> bool:
    return bool(((others >= own).all(axis=1) & (others > own).any(axis=1)).any())
