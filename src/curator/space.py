"""The space of plans that a search may choose from, and the good ideas that it begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from curator.records import LabelPolicy, MixPlan
from curator.score.candidates import SLICES

STEP = 0.25
HIGHEST = {"agreement": 0.9, "realism": 0.5, "novelty": 0.4, "typicality": 0.3}
LOWEST_WEIGHT, HIGHEST_WEIGHT = 0.05, 2.0
# He, Xu and Cheng: the weight a synthetic row deserves at five synthetic rows per real one, from the golden ratio.
GOLDEN_WEIGHT_AT_5X = 0.36

# Without being told, a search asks for this many synthetic rows at most, within these bounds for each real row.
_USUAL_ROWS, _MOST_USUAL, _LEAST_USUAL = 20_000, 10.0, 5.0

Setting = float | Literal["search", "off"]
Params = dict[str, Any]
# What a parameter of the study that sets the estimator is called.
SETTING = "setting."
# Up to what the kinds of weights are searched, from 0 on.
RANGES = {"effective_depth": 4.0, "hardness": 4.0, "importance": 1.0}


@dataclass(frozen=True)
class Range:
    """The values of a numeric setting, from low to high."""

    low: float
    high: float
    log: bool
    whole: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> Range | None:
        """Return the range that values span; None where they are to be chosen among one by one."""
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if not numbers or len(values) < 3:
            return None
        low, high = min(values), max(values)
        # From zero on, no scale fits: half of a range of 0 to 10 lies above 5.
        return Range(low, high, bool(high / low >= 10), all(isinstance(v, int) for v in values)) if low > 0 else None

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


# What a searched setting may be: anything between two numbers, or one of these.
Values = Range | tuple[Any, ...]


def setting_values(known: tuple[Any, ...], default: Any) -> Values:
    """Return what a setting may be, its default too, which may not be among the values that are known to be good."""
    span = Range.of(known)
    if not is_plain(default):
        return known if span is None else span
    return span if span is not None and default in span else tuple(dict.fromkeys([*known, default]))


def is_plain(value: Any) -> bool:
    """Whether a study can store a value, so that it may be chosen."""
    return value is None or (isinstance(value, bool | int | float | str) and value == value)  # noqa: PLR0124  # NaN


@dataclass(frozen=True)
class Tuning:
    """Settings of the estimator that are searched together with the mix.

    Attributes
    ----------
    values : mapping of str to Range or tuple
        By setting: what it may be. Three numbers or more above zero span a range, others are choices.
    base : mapping of str to value
        What the reference has been tuned to: trials carry settings only where they differ from it.
    """

    values: Mapping[str, Values]
    base: Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """What a trial may choose.

    Attributes
    ----------
    sources : tuple of str
    labels : tuple of LabelPolicy
        One: fixed by the recipe.
    thresholds : mapping of str to 'search', 'off' or float
    rare_weights : 'search', 'off' or float
    classes : bool
        Whether there are classes to tilt and to weigh.
    max_ratio, max_mass : float
        Most synthetic rows, and most synthetic weight, per real row and per unit of real weight.
    """

    sources: tuple[str, ...]
    labels: tuple[LabelPolicy, ...]
    thresholds: Mapping[str, Setting]
    rare_weights: Setting
    classes: bool
    max_ratio: float
    tuning: Tuning | None = None
    synthetic_weight: Setting = "search"
    class_tilt: Setting = "search"
    effective_number: Setting = "off"
    hardness: Setting = "off"
    importance: Setting = "off"
    max_mass: float = float("inf")

    def suggest(self, trial: Any) -> MixPlan:
        """Read one plan off an Optuna trial."""
        ratios = [trial.suggest_float(f"ratio.{s}", 0.0, self.top, step=STEP) for s in self.sources]
        exponent = self._rare(trial)
        beta, hardness = self._beta(trial), self._searched(trial, "hardness", self.hardness)
        total = sum(ratios)
        if total == 0:
            return MixPlan(rare_exponent=exponent, effective_beta=beta, hardness=hardness).canonical()
        shrink = min(1.0, self.max_ratio / total)
        labels = self.labels[0] if len(self.labels) == 1 else trial.suggest_categorical("labels", list(self.labels))
        weight, tilt = _number(self.synthetic_weight, 1.0), _number(self.class_tilt, 0.0) if self.classes else 0.0
        if self.synthetic_weight == "search":
            weight = trial.suggest_float("synthetic_weight", LOWEST_WEIGHT, HIGHEST_WEIGHT, log=True)
            weight = min(weight, self.max_mass / (total * shrink))
        if self.class_tilt == "search" and self.classes:
            tilt = trial.suggest_float("class_tilt", 0.0, 1.0)
        thresholds = []
        for name, setting in self.thresholds.items():
            if setting == "off" or (name == "agreement" and labels != "filter"):
                continue
            searched = setting == "search"
            value = (
                trial.suggest_float(f"threshold.{name}", 0.0, HIGHEST.get(name, 0.5)) if searched else float(setting)
            )
            thresholds.append((name, float(value)))
        scaled = tuple((s, r * shrink) for s, r in zip(self.sources, ratios, strict=True))
        importance = self._searched(trial, "importance", self.importance)
        settings = self._settings(trial)
        return MixPlan(
            scaled, labels, weight, tilt, exponent, tuple(thresholds), settings, beta, hardness, importance
        ).canonical()

    def _beta(self, trial: Any) -> float:
        """Return beta; what is searched is how close to 1 it comes, in powers of ten."""
        if not self.classes or self.effective_number != "search":
            return _number(self.effective_number, 0.0) if self.classes else 0.0
        return float(1 - 10.0 ** -trial.suggest_float("effective_depth", 0.0, RANGES["effective_depth"]))

    def _searched(self, trial: Any, name: str, setting: Setting) -> float:
        if setting != "search":
            return _number(setting, 0.0)
        return float(trial.suggest_float(name, 0.0, RANGES[name]))

    def _settings(self, trial: Any) -> tuple[tuple[str, Any], ...]:
        if self.tuning is None:
            return ()
        found = []
        for name, values in self.tuning.values.items():
            key = f"{SETTING}{name}"
            if not isinstance(values, Range):
                value = trial.suggest_categorical(key, list(values))
            elif values.whole:
                value = trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
            else:
                value = trial.suggest_float(key, values.low, values.high, log=values.log)
            if value != self.tuning.base[name]:
                found.append((name, value))
        return tuple(found)

    @property
    def top(self) -> float:
        """The highest ratio of one source, a whole number of steps."""
        return max(STEP, whole_steps(self.max_ratio))

    def _rare(self, trial: Any) -> float:
        if not self.classes or self.rare_weights == "off":
            return 0.0
        if self.rare_weights == "search":
            return float(trial.suggest_float("rare_exponent", 0.0, 1.0))
        return float(self.rare_weights)

    def with_fixed(self, plan: MixPlan) -> MixPlan:
        """Return a plan with the settings that the recipe fixes, so that a good idea is not lost over them."""
        thresholds = dict(plan.thresholds)
        for name, setting in self.thresholds.items():
            if setting == "off":
                thresholds.pop(name, None)
            elif setting != "search" and (name != "agreement" or plan.labels == "filter"):
                thresholds[name] = float(setting)
        fixed = self.rare_weights if isinstance(self.rare_weights, float | int) else None
        exponent = plan.rare_exponent if fixed is None or not self.classes else float(fixed)
        return replace(
            plan, thresholds=tuple(sorted(thresholds.items())), rare_exponent=exponent,
            synthetic_weight=_number(self.synthetic_weight, plan.synthetic_weight),
            class_tilt=_number(self.class_tilt, plan.class_tilt) if self.classes else plan.class_tilt,
            effective_beta=_number(self.effective_number, plan.effective_beta) if self.classes else 0.0,
            hardness=_number(self.hardness, plan.hardness), importance=_number(self.importance, plan.importance),
        )  # fmt: skip

    def params_of(self, plan: MixPlan) -> Params | None:
        """Return the parameters that give a plan, or None when the space does not hold it."""
        ratios = dict(plan.ratios)
        if not set(ratios) <= set(self.sources) or (plan.ratio > 0 and plan.labels not in self.labels):
            return None
        if plan.ratio > self.max_ratio + 1e-9 or plan.mass > self.max_mass + 1e-9:
            return None
        params: Params = {f"ratio.{s}": min(self.top, round(ratios.get(s, 0.0) / STEP) * STEP) for s in self.sources}
        if self.classes and self.rare_weights == "search":
            params["rare_exponent"] = plan.rare_exponent
        elif plan.rare_exponent != (0.0 if self.rare_weights in ("off", "search") else self.rare_weights):
            return None
        weights = self._weights_of(plan)
        if weights is None or plan.ratio == 0:
            return None if weights is None else params | weights
        params |= weights
        known = dict(plan.thresholds)
        chosen = [
            (f"threshold.{name}", setting, known.get(name, 0.0))
            for name, setting in self.thresholds.items()
            if name != "agreement" or plan.labels == "filter"
        ]
        if self.classes:
            chosen.append(("class_tilt", self.class_tilt, plan.class_tilt))
        chosen.append(("synthetic_weight", self.synthetic_weight, plan.synthetic_weight))
        if any(value != _number(setting, value) for _, setting, value in chosen):
            return None
        params |= {name: value for name, setting, value in chosen if setting == "search"}
        if len(self.labels) > 1:
            params["labels"] = plan.labels
        if self.tuning is not None:
            settings = {**self.tuning.base, **dict(plan.settings)}
            params |= {f"{SETTING}{name}": settings[name] for name in self.tuning.values}
        return params


    def _weights_of(self, plan: MixPlan) -> Params | None:
        """Return the parameters that give a plan's kinds of weights beside the exponent's; None where none do."""
        kinds = [("hardness", self.hardness, plan.hardness)]
        if self.classes:
            asked = self.effective_number
            fixed: Setting = asked if asked == "search" else -math.log10(1 - _number(asked, 0.0))
            kinds.append(("effective_depth", fixed, -math.log10(1 - plan.effective_beta)))
        if plan.ratio > 0:
            kinds.append(("importance", self.importance, plan.importance))
        if any(abs(value - _number(setting, value)) > 1e-9 for _, setting, value in kinds):
            return None
        return {name: value for name, setting, value in kinds if setting == "search"}


def _number(setting: Setting, searched: float) -> float:
    """Return what a setting is fixed to: 0 where it is off, and `searched` where the study chooses."""
    if setting == "search":
        return searched
    return 0.0 if setting == "off" else float(setting)


def usual_ratio(n: int) -> float:
    """Return the most synthetic rows per real row that a search over a table of n rows tries by itself.

    What synthetic rows add shrinks as real rows grow, while ten of them make every fit take twice as long as five.

    Examples
    --------
    >>> [usual_ratio(n) for n in (300, 2000, 3000, 5000, 50_000)]
    [10.0, 10.0, 6.5, 5.0, 5.0]
    """
    return whole_steps(min(_MOST_USUAL, max(_LEAST_USUAL, _USUAL_ROWS / n)))


def whole_steps(ratio: float) -> float:
    """Return the ratio in steps of the search, rounded down: what a recipe, or a gate, allows is never passed."""
    return ratio // STEP * STEP


def spread(sources: Sequence[str], total: float) -> tuple[tuple[str, float], ...]:
    """Divide a ratio evenly among sources, in steps of the search; the parts sum to it.

    Examples
    --------
    >>> spread(["a", "b", "c"], 5.0)
    (('a', 1.75), ('b', 1.75), ('c', 1.5))
    """
    steps = round(total / STEP)
    return tuple((s, STEP * (steps // len(sources) + (i < steps % len(sources)))) for i, s in enumerate(sources))


def warm_starts(
    space: Space, ladder: Sequence[tuple[str, MixPlan]], untuned: tuple[tuple[str, Any], ...] = ()
) -> list[tuple[str, Params]]:
    """Return named trials to begin with: the ladder's mixes that the space holds, then settings known to do well.

    `untuned` are the estimator's settings before any tuning, to be tried as well where they are searched.
    """
    five, ten, two = (min(total, whole_steps(space.max_ratio)) for total in (5.0, 10.0, 2.0))
    several = space.sources if len(space.sources) > 1 else ()
    whole = [s for s in space.sources if s != SLICES]
    ideas = [
        *ladder,
        *((f"relabelled_{five:g}x_{s}", MixPlan(((s, five),), "relabel")) for s in several),
        (f"relabelled_{ten:g}x", MixPlan(spread(whole, ten), "relabel")),
        (f"relabelled_{five:g}x_golden", MixPlan(spread(whole, five), "relabel", GOLDEN_WEIGHT_AT_5X)),
        (f"relabelled_{two:g}x_light", MixPlan(spread(whole, two), "relabel", 0.3)),
    ]
    own = whole_steps(min(1.0, space.max_ratio / 2))
    if SLICES in space.sources and own:
        fed = (*spread(whole, min(five, whole_steps(space.max_ratio) - own)), (SLICES, own))
        ideas.append((f"relabelled_{five:g}x_fed", MixPlan(fed, "relabel")))
    # Below one step there are no ideas; the search still tries the least ratio that there may be.
    ideas = [(name, plan) for name, plan in ideas if plan.ratio > 0 or (name, plan) in ladder]
    if untuned:
        # With more rows, what was best on the real ones alone may be too cautious.
        ideas += [(f"{name}_untuned", replace(plan, settings=untuned)) for name, plan in ideas if plan.ratio > 0]
    named, seen = [], set()
    for name, idea in ideas:
        plan = space.with_fixed(idea)
        if plan.mass > space.max_mass and space.synthetic_weight == "search":
            plan = replace(plan, synthetic_weight=max(LOWEST_WEIGHT, space.max_mass / plan.ratio))
        params = space.params_of(plan)
        if params is not None and tuple(sorted(params.items())) not in seen:
            seen.add(tuple(sorted(params.items())))
            named.append((name, params))
    return named
