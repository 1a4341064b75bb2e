"""What attacks achieved, beside what they may: figures, a verdict and its sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from curator.privacy.intervals import Estimate
from curator.privacy.rows import MOST_JUDGED

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["within", "undecided", "exceeded", "not_judged", "reported"]
PrivacyVerdict = Literal["passed", "refused", "undecided", "not_applicable"]

LIMITS = (
    "Measured by the attacks that were tried, on the rows that were there: others may succeed. It is no anonymisation, "
    "and no differential privacy."
)
# What names of membership figures end with where members are told by the absence of synthetic rows near them.
ABSENT = "_absent"
_WHAT = {
    "auc": "AUC of membership inference",
    "auc_absent": "AUC of membership inference from the absence of rows nearby,",
    "tpr": "members found at {fpr:.2g} % false positives",
    "tpr_absent": "members found at {fpr:.2g} % false positives from the absence of rows nearby,",
    "copies": "exact copies of unique rows{part}, beyond those of holdout rows",
    "near_copies": "near copies, beyond those of holdout rows",
    "attribute": "risk that {attack!r} is guessed",
}
_PARTS = {
    "features": " in all columns but the target",
    "numbers": " in their numbers",
    "words": " in their words",
    "one half": " in a random half of the features",
    "other half": " in the other half of the features",
}
_ATTACKS = {
    "density": " by density ratio",
    "distance": " by distance",
    **{part: f" by distance{where}" for part, where in _PARTS.items()},
}
_ROWS = {"all": ", all rows", "tail": ", most isolated 5 %"}
_HOLES = (
    "Synthetic rows are conspicuously absent near members: a filter that drops those near real rows, as "
    "filters.novelty does, leaves holes where members are."
)
_MOST_NAMED = 3


@dataclass(frozen=True)
class PrivacyFigure:
    """One figure of one attack.

    Attributes
    ----------
    name : {'auc', 'tpr', 'auc_absent', 'tpr_absent', 'copies', 'near_copies', 'attribute'}
        ``auc`` and ``tpr`` are of membership inference: members are those that synthetic rows are near. For
        ``auc_absent`` and ``tpr_absent`` they are those that synthetic rows keep away from. ``copies`` and
        ``near_copies`` are differences of shares;
        ``attribute`` is ``(attack - control) / (1 - control)``.
    attack : str
        ``density`` or ``distance``; the column, for ``attribute``; for ``copies`` in all columns ``copies``. For
        ``copies`` and for distances in some of the columns: ``features`` (all but the target), ``numbers``, ``words``,
        ``one half`` or ``other half`` of the features.
    rows : {'all', 'tail'}
        ``tail``: the 5 % of real rows that are most isolated.
    value, low, high : float or None
        The figure with its 90 % interval, each end wrong in 5 % of cases; None where there are too few rows.
    floor : float or None
        What the truth is above, wrongly so for any figure of the report in 5 % of cases.
    bound : float or None
        The most that is allowed; None where the figure is only reported.
    members, controls : int
        Rows that it is measured on.
    core : bool
        Whether the figure must be shown to be within its bound for the gate to open. Copies must, unless chance
        explains them.
    fpr : float or None
        The rate of false positives of ``tpr``: 1 %, or the least that so few controls can tell.
    member_rate, control_rate : float or None
        Shares of members and controls that are hit, where the figure is made of these.
    """

    name: str
    attack: str
    rows: Literal["all", "tail"]
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    bound: float | None
    members: int
    controls: int
    core: bool = False
    fpr: float | None = None
    member_rate: float | None = None
    control_rate: float | None = None

    @property
    def outcome(self) -> Outcome:
        """``exceeded`` or ``within`` where either is shown, else ``undecided``; ``reported`` without a bound."""
        if self.value is None or self.floor is None or self.high is None:
            return "not_judged"
        if self.bound is None:
            return "reported"
        if self.floor > self.bound:
            return "exceeded"
        return "within" if self.high <= self.bound else "undecided"

    @property
    def above(self) -> bool:
        """Whether the estimate is above its bound, shown or not."""
        return self.value is not None and self.bound is not None and self.value > self.bound

    @property
    def words(self) -> str:
        """What is measured, for a reader."""
        part = _PARTS.get(self.attack, "")
        what = _WHAT[self.name].format(fpr=100 * (self.fpr or 0.01), attack=self.attack, part=part)
        return f"{what}{_ATTACKS[self.attack]}{_ROWS[self.rows]}" if self.name.startswith(("auc", "tpr")) else what

    @property
    def measured(self) -> str:
        """The figure in words, with its interval and its bound."""
        most = "" if self.bound is None else f", {self.bound:.3g} is the most"
        return f"{self.words} {self.value:.3g} ({self.low:.3g} to {self.high:.3g}{most})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, the outcome and the words included."""
        return {**asdict(self), "outcome": self.outcome, "words": self.words}


def figure(
    name: str,
    attack: str,
    estimate: Estimate | None,
    bound: float | None,
    rows: tuple[int, int],
    *,
    where: Literal["all", "tail"] = "all",
    **more: Any,
) -> PrivacyFigure:
    """Return an estimate as a figure; `rows` are members and controls."""
    if estimate is None:
        return PrivacyFigure(name, attack, where, None, None, None, None, bound, *rows, **more)
    parts = estimate.value, estimate.low, estimate.high, estimate.floor
    return PrivacyFigure(name, attack, where, *parts, bound, *rows, **more)


@dataclass(frozen=True)
class PrivacyReport:
    """What the attacks say of synthetic rows.

    Attributes
    ----------
    figures : tuple of PrivacyFigure
    synthetic, members, controls : int
        Rows.
    judged : (int, int)
        Members and controls that attacks were tried on.
    copies : (int, int)
        Unique members, and unique controls, that are repeated exactly.
    """

    figures: tuple[PrivacyFigure, ...]
    synthetic: int
    members: int
    controls: int
    judged: tuple[int, int]
    copies: tuple[int, int]

    @property
    def verdict(self) -> PrivacyVerdict:
        """``refused`` where a bound is shown to be exceeded; ``passed`` where core figures are shown to be within."""
        if any(f.outcome == "exceeded" for f in self.figures):
            return "refused"
        return "passed" if all(f.outcome == "within" for f in self.figures if f.core) else "undecided"

    @property
    def sentence(self) -> str:
        """The verdict for a reader."""
        who = f"({self.members:,} rows that were learned from, {self.controls:,} that were not)"
        open_ = [f for f in self.figures if f.outcome in {"undecided", "not_judged"}]
        # What looks worst is named first.
        open_.sort(key=lambda f: (not f.above, f.value is not None))
        if self.verdict == "refused":
            exceeded = [f for f in self.figures if f.outcome == "exceeded"]
            text = f"Refused: attacks do more than the recipe allows: {_listed([f.measured for f in exceeded])} {who}."
            return f"{text} {_HOLES}" if any(f.name.endswith(ABSENT) for f in exceeded) else text
        if self.verdict == "undecided":
            # Beyond that many rows, attacks are tried on no more of them.
            more = min(self.judged) < MOST_JUDGED
            advice = " More rows or a larger task.holdout would decide." if more else ""
            core = [f.measured if f.value is not None else f"{f.words} not measured" for f in open_ if f.core]
            return (
                f"Undecided, and so not written: that attacks do more than the recipe allows is not shown, nor is the "
                f"contrary: {_listed(core)} {who}.{advice}"
            )
        text = f"Passed: no attack that was tried is shown to do more than the recipe allows {who}."
        above = [f.measured for f in open_ if f.above]
        if above:
            text += f" Above its bound by estimate, though that is not shown: {'; '.join(above)}."
        rest = [f.words if f.value is not None else f"{f.words} not measured" for f in open_ if not f.above]
        return f"{text} Not shown either way: {_listed(rest)}." if rest else text

    def frame(self) -> pd.DataFrame:
        """Return the figures as a table, one row each."""
        import pandas as pd

        return pd.DataFrame([f.to_dict() for f in self.figures])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data. It has no figure of a single row."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "limits": LIMITS,
            "rows": {"synthetic": self.synthetic, "members": self.members, "controls": self.controls,
                     "judged_members": self.judged[0], "judged_controls": self.judged[1]},
            "copies": {"members": self.copies[0], "controls": self.copies[1]},
            "figures": [f.to_dict() for f in self.figures],
        }  # fmt: skip


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - _MOST_NAMED
    return "; ".join(parts[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
