"""The frozen records that cross module boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

TaskType = Literal["binary", "multiclass", "regression"]
Kind = Literal["numerical", "categorical", "boolean", "datetime", "id", "text"]
LabelPolicy = Literal["keep", "filter", "relabel"]
LabelForm = Literal["weighted", "sampled", "argmax"]
VerdictName = Literal["better", "not_worse", "undecided", "worse"]

CATEGORICAL_KINDS = frozenset({"categorical", "boolean"})


@dataclass(frozen=True)
class MixPlan:
    """What to take from a pool of candidates, and how to weigh it against the real rows.

    Attributes
    ----------
    ratios : tuple of (str, float)
        Synthetic rows per real row, by source, each >= 0. Empty or all zero: real rows only.
    labels : {'keep', 'filter', 'relabel'}
        Keep the synthesizer's label; keep it but drop candidates whose label the teacher doubts (threshold
        ``agreement``); or replace it by the teacher's prediction.
    synthetic_weight : float
        Weight of one synthetic row where a real row has 1; > 0.
    class_tilt : float
        0 draws classes in their real proportion, 1 draws every class alike; in between
        the share of a class goes with ``share ** (1 - tilt)``.
    rare_exponent : float
        Rows of a class weigh ``(1 / share) ** exponent``, capped and normalised; 0 switches this off.
    thresholds : tuple of (str, float)
        Least score by scorer; a candidate below it is dropped. See `curator.score` for each scorer's scale.
    effective_beta : float
        Rows of a class weigh by its effective number at this beta in [0, 1), in place of `rare_exponent`; 0: off.
    hardness : float
        Real rows weigh ``1 + hardness * error``, the teacher's error out of fold being in [0, 1]; 0: off.
    importance : float
        Synthetic rows weigh by their odds of being real to this power, in [0, 1]; 0: all alike.
    settings : tuple of (str, value)
        Settings of the estimator that this mix was searched with (``task.tune``); empty: those of the reference.
    """

    ratios: tuple[tuple[str, float], ...] = ()
    labels: LabelPolicy = "keep"
    synthetic_weight: float = 1.0
    class_tilt: float = 0.0
    rare_exponent: float = 0.0
    thresholds: tuple[tuple[str, float], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    effective_beta: float = 0.0
    hardness: float = 0.0
    importance: float = 0.0

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> MixPlan:
        """Return the plan that ``dataclasses.asdict`` and JSON have made this of."""
        return cls(
            tuple((str(s), float(r)) for s, r in raw["ratios"]),
            raw["labels"],
            float(raw["synthetic_weight"]),
            float(raw["class_tilt"]),
            float(raw["rare_exponent"]),
            tuple((str(n), float(v)) for n, v in raw["thresholds"]),
            tuple((str(n), v) for n, v in raw.get("settings", ())),
            *(float(raw.get(name, 0.0)) for name in ("effective_beta", "hardness", "importance")),
        )

    @property
    def ratio(self) -> float:
        """Synthetic rows asked for per real row, over all sources."""
        return sum(r for _, r in self.ratios)

    @property
    def real_only(self) -> bool:
        """Whether the plan is the real rows, unweighted and unaccompanied."""
        return self.ratio == 0 and not self.weighs_real_rows

    @property
    def weighs_real_rows(self) -> bool:
        """Whether real rows weigh differently from each other by this plan."""
        return self.rare_exponent > 0 or self.effective_beta > 0 or self.hardness > 0

    @property
    def mass(self) -> float:
        """Synthetic weight asked for per unit of real weight (before shortfalls)."""
        return self.ratio * self.synthetic_weight

    def canonical(self) -> MixPlan:
        """Return the plan without settings that have no effect, so that equal mixes compare equal."""
        exponent = 0.0 if self.effective_beta > 0 else self.rare_exponent
        if self.ratio == 0:
            return MixPlan(
                rare_exponent=exponent, settings=tuple(sorted(self.settings)), effective_beta=self.effective_beta,
                hardness=self.hardness,
            )  # fmt: skip
        thresholds = tuple(
            sorted((k, v) for k, v in self.thresholds if v > 0 and (k != "agreement" or self.labels == "filter"))
        )
        ratios = tuple(sorted((s, r) for s, r in self.ratios if r > 0))
        # A filter of labels without a threshold lets every label pass.
        idle = self.labels == "filter" and "agreement" not in dict(thresholds)
        labels: LabelPolicy = "keep" if idle else self.labels
        return MixPlan(
            ratios, labels, self.synthetic_weight, self.class_tilt, exponent, thresholds,
            tuple(sorted(self.settings)), self.effective_beta, self.hardness, self.importance,
        )  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; ``n`` is what it was computed over (rows, or fold differences)."""

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95


def shown_decimals(size: float) -> int:
    """Return how many decimals a metric of this size deserves: four for a log loss, none for house prices."""
    return next((places for limit, places in ((2, 4), (20, 3), (200, 2), (2000, 1)) if abs(size) < limit), 0)


@dataclass(frozen=True)
class SliceVerdict:
    """What certification says of one rare slice.

    Attributes
    ----------
    rows : int
        Holdout rows.
    real_only, curated : float or None
        Mean loss of these rows.
    difference : Interval or None
        Positive when the mix is better there.
    joined : Interval or None
        The same by holdout and folds together.
    p_worse : float or None
        That it is not worse beyond the tolerance, by `joined`, corrected for the number of slices.
    reason : str
        Why it is not judged.
    kind : str
        ``declared``, or by what it was discovered.
    support : int
        Development rows.
    out_of_fold_loss, lift : float or None
        Mean loss on development rows with the real rows alone, and that over the mean of all of them.
    rows_needed : int or None
        Holdout rows of the slice that would decide it.
    measures : mapping of measure to mapping of arm to Interval
        Further figures of the holdout rows.
    """

    name: str
    where: str
    rows: int
    metric: str
    real_only: float | None
    curated: float | None
    difference: Interval | None
    verdict: VerdictName | Literal["not_applicable"]
    joined: Interval | None = None
    p_worse: float | None = None
    reason: str = ""
    kind: str = "declared"
    support: int = 0
    out_of_fold_loss: float | None = None
    lift: float | None = None
    rows_needed: int | None = None
    measures: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the holdout says of the selected mix against the real rows alone.

    Attributes
    ----------
    name : {'better', 'not_worse', 'undecided', 'worse'}
    difference : Interval
        Paired difference in the recipe's metric on the holdout; positive when the mix is better, whatever the
        direction of the metric. ``n`` is the number of holdout rows.
    folds : Interval
        The same difference over the folds, with the Nadeau-Bengio correction.
    joined : Interval
        What holdout and folds say of it together, row by row where the metric is a mean over rows, at 90 %: decides
        whether an ``undecided`` mix is emitted.
    margin : float
        How much worse still counts as ``not_worse``, in the units of `difference`.
    rows_needed : int or None
        Holdout rows that would decide an ``undecided`` verdict if the difference stayed as it is.
    emitted : {'mix', 'real_only'}
        What the curated dataset holds.
    sentence : str
        The verdict for a reader.
    leans : bool
        Whether holdout and folds together lean to the mix, nothing speaking against it: policy ``best`` emits it.
    shown : bool
        Whether it is shown to be at least as good as real rows alone: policy ``certified`` emits it.
    """

    name: VerdictName
    difference: Interval
    folds: Interval
    joined: Interval
    margin: float
    rows_needed: int | None
    emitted: Literal["mix", "real_only"]
    sentence: str
    slices: tuple[SliceVerdict, ...] = ()
    leans: bool = False
    shown: bool = False


@dataclass(frozen=True)
class Trial:
    """One finished trial of the search.

    Attributes
    ----------
    number : int
        Position in the study, from 0.
    name : str
        The ladder arm it repeats, or ``trial``.
    plan : MixPlan
    params : mapping
        The Optuna parameters.
    scores, deltas : tuple of float
        Per fold, in fold order, only the folds that were evaluated: the first metric of the first estimator, and the
        paired difference to real-only (positive is better). With several estimators the mean of theirs, each in units
        of what mixes usually make of it.
    gains : tuple of tuple of tuple of float
        Paired differences by metric, estimator and fold; empty where there is one metric and one estimator.
    harm : tuple of float
        By guarded slice, how far beyond the tolerance it gets worse on the folds, for certain by a standard error; at
        most 0 where it does not.
    state : {'complete', 'pruned'}
    seconds : float
        Summed fit and predict time.
    """

    number: int
    name: str
    plan: MixPlan
    params: Mapping[str, float | str]
    scores: tuple[float, ...]
    deltas: tuple[float, ...]
    state: Literal["complete", "pruned"]
    seconds: float = 0.0
    gains: tuple[tuple[tuple[float, ...], ...], ...] = ()
    harm: tuple[float, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether no slice gets worse beyond the tolerance."""
        return all(v <= 0 for v in self.harm)

    @property
    def delta(self) -> float:
        """Mean paired difference to real-only over the evaluated folds."""
        return sum(self.deltas) / len(self.deltas)

    @property
    def means(self) -> tuple[float, ...]:
        """Mean paired difference to real-only by metric, in its units, over the evaluated folds and all estimators."""
        if not self.gains:
            return (self.delta,)
        return tuple(sum(map(sum, by)) / sum(map(len, by)) for by in self.gains)

    def seen_by(self, estimator: int) -> Trial:
        """Return the trial with the differences of one estimator alone, in units of the metric."""
        return replace(self, deltas=self.gains[0][estimator]) if self.gains else self


@dataclass(frozen=True)
class ArmResult:
    """One arm of the ladder: its metrics on every fold, or why it does not apply.

    Attributes
    ----------
    name : str
    plan : MixPlan or None
        The mix it stands for; None for arms that are no mix (tuning, thresholds, oversampling).
    scores : mapping of str to tuple of float
        Metric -> value per fold.
    deltas : tuple of float
        Paired difference to real-only in the recipe's metric.
    skipped : str
        Why it was not run; empty when it was.
    slices : mapping of str to tuple of float
        Mean loss of the rows of each guarded slice, per fold.
    """

    name: str
    plan: MixPlan | None
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    deltas: tuple[float, ...] = ()
    skipped: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    slices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EarlierVerdict:
    """What becomes of the m candidates that earlier outputs held beside their real rows.

    Attributes
    ----------
    reasons : tuple of m str
        Why a candidate is retired; empty where it is kept.
    scores : mapping of str to array of shape (m,)
        By scorer; NaN where a candidate was not scored.
    weight : array of shape (n,)
        Of each row that the candidates were written in, beside the dataset's other rows.
    difference : Interval or None
        What the kept ones, or those that were tried, add to the mix on new real rows; positive is better. At 90 %.
    """

    reasons: tuple[str, ...]
    scores: Mapping[str, np.ndarray]
    weight: np.ndarray
    difference: Interval | None = None

    @property
    def kept(self) -> int:
        """How many candidates are emitted."""
        return sum(not r for r in self.reasons)

    @property
    def summary(self) -> dict[str, Any]:
        """What results tell of it."""
        why = [r for r in self.reasons if r]
        d = self.difference
        return {
            "rows": len(self.reasons),
            "kept": self.kept,
            "retired": {reason: why.count(reason) for reason in dict.fromkeys(why)},
            "difference": None if d is None else d.mean,
            "interval": None if d is None else (d.low, d.high),
            "n": 0 if d is None else d.n,
        }
