"""What a simulation comes to: every figure by generation, and how many generations each policy is safe for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.figures import FIGURES
from curator.collapse.policies import ABOUT_POLICIES
from curator.evaluate import find_metric
from curator.setup import Setup
from curator.table import UNKNOWN, UNKNOWN_DEPTH

if TYPE_CHECKING:
    from curator.collapse.world import World

# Beside the score, what a generation must have kept of the first one's rare categories and tails, unless new real rows
# would not.
KEPT = {"rare_categories": 0.95, "tail_mass": 0.95}
# One-sided 95 %: how many standard errors a loss must be beyond nothing to be one.
_REACH = 1.645
UNKNOWN_REAL = f"{UNKNOWN_DEPTH}; what is called real here is generation 0, whatever that is made of"


def outcome(
    world: World, setup: Setup, asked: Mapping[str, Any], start: Mapping[str, Any], found: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of ``collapse.json``."""
    metric = setup.metric
    reference = start["scores"][metric.name]
    margin = metric.margin(setup.recipe.rare.tolerance, reference)
    kept = {name: _least(least, start["fresh"][name]["low"]) for name, least in KEPT.items()}
    chains, count = [], int(asked["generations"])
    for policy, source in dict.fromkeys((f["policy"], f["source"]) for f in found):
        own = [f for f in found if (f["policy"], f["source"]) == (policy, source)]
        chains.append(_chain(policy, source, own, start, _Limits(metric.name, margin, kept, world.weight), count))
    growth = next((f["growth"] for f in found if f.get("growth")), None)
    return {
        "name": setup.recipe.name, "target": world.table.target, "task": world.table.task,
        "estimator": world.estimator.label,
        "metric": {"name": metric.name, "greater_is_better": metric.greater_is_better},
        "metrics": list(world.metrics), "rows": {"generation_0": len(world.table), "judges": len(world.y)},
        "remarks": [UNKNOWN_REAL] if setup.table.provenance.origin == UNKNOWN else [],
        "asked": dict(asked), "margin": margin, "kept": kept, "fresh": start["fresh"],
        "start": {"scores": start["scores"], "figures": start["figures"]},
        "chains": chains, "growth": growth, "figures": _tidy(start, found, world.metrics),
        "labels": {name: meaning.label for name, meaning in FIGURES.items()},
        "about": {name: meaning.about for name, meaning in FIGURES.items()},
    }  # fmt: skip


def _least(asked: float, fresh: float | None) -> float:
    return asked if fresh is None or not np.isfinite(fresh) else min(asked, fresh)


@dataclass(frozen=True, eq=False)
class _Limits:
    """What a generation must not fall below: the margin of the metric, and what must be kept."""

    metric: str
    margin: float
    kept: Mapping[str, float]
    weight: np.ndarray


def _chain(
    policy: str, source: str, own: list[dict[str, Any]], start: Mapping[str, Any], limits: _Limits, count: int
) -> dict[str, Any]:
    numbers = sorted({f["generation"] for f in own})
    points, reasons, doubts, ended = [], [], [], ""
    for number in numbers:
        at = [f for f in own if f["generation"] == number]
        ended = next((f["failed"] for f in at if "failed" in f), "")
        if ended:
            reasons.append(ended)
            break
        point = _point(number, at, start, limits)
        reasons.append(_harm(point, limits))
        doubts.append("" if reasons[-1] else _doubt(point, limits))
        points.append(point | {"state": "unsafe" if reasons[-1] else "untold" if doubts[-1] else "safe"})
    harmed, doubted = _first(reasons), _first(doubts)
    safe = min(len(reasons) if i is None else i for i in (harmed, doubted))
    name = policy if source == "mix" else f"{policy}, {source}"
    found: dict[str, Any] = {
        "name": name, "policy": policy, "source": source, "about": ABOUT_POLICIES[policy], "points": points,
        "safe": safe, "ended": ended, "alone": _alone(points),
        "unsafe_from": None if harmed is None else numbers[harmed],
        "reason": "" if harmed is None else reasons[harmed],
        "untold_from": None if doubted is None else numbers[doubted],
        "doubt": "" if doubted is None else doubts[doubted],
    }  # fmt: skip
    return found | {"sentence": _sentence(found, count) + _told_alone(found["alone"])}


def _alone(points: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Return in how many curated generations no synthetic row was emitted, over all seeds; None of other policies."""
    emitted = [e for p in points for e in p.get("emitted", ())]
    return {"generations": emitted.count("real_only"), "of": len(emitted)} if emitted else None


def _told_alone(alone: Mapping[str, int] | None) -> str:
    if not alone or not alone["generations"]:
        return ""
    return f"; real rows alone in {alone['generations']} of {alone['of']} generations"


def _first(sentences: Sequence[str]) -> int | None:
    return next((i for i, sentence in enumerate(sentences) if sentence), None)


def _point(
    number: int, at: Sequence[Mapping[str, Any]], start: Mapping[str, Any], limits: _Limits
) -> dict[str, Any]:
    """Return the means over seeds, and the least and greatest where there are several."""
    metric = limits.metric
    gain = find_metric(metric).gain
    gains = [gain(_value(f["scores"][metric]), start["scores"][metric]) for f in at]
    scores = {name: _summary([_value(f["scores"][name]) for f in at]) for name in at[0]["scores"]}
    figures = {name: _summary([_value(f["figures"].get(name)) for f in at]) for name in at[0]["figures"]}
    worse = _surely_worse(at, start, limits, float(np.mean(gains)))
    return {
        "generation": number, "gain": _summary(gains), "surely_worse": worse,
        "scores": scores, "figures": figures,
        "real_share": float(np.mean([f["real_share"] for f in at])), "rows": int(np.mean([f["rows"] for f in at])),
        "deepest": max(int(f["deepest"]) for f in at),
        **({"emitted": [f["emitted"] for f in at]} if "emitted" in at[0] else {}),
    }  # fmt: skip


def _surely_worse(
    at: Sequence[Mapping[str, Any]], start: Mapping[str, Any], limits: _Limits, gain: float
) -> bool:
    """Whether a gain is a loss beyond chance: that of the judges, and that of the rows that are learned from.

    The judges' part is known of metrics that are means of losses. Another training set of real rows would score
    otherwise as well, by the spread that was found at generation 0.
    """
    before, losses = start.get("losses"), [f["losses"] for f in at if len(f.get("losses", ()))]
    variance = (1 + 1 / len(at)) * np.nan_to_num(_value(start["spread"])) ** 2
    if before is not None and len(before) and len(losses) == len(at) and find_metric(limits.metric).row_losses:
        weight, more = limits.weight, np.mean(losses, axis=0) - before
        error = np.sqrt((weight**2 * (more - np.average(more, weights=weight)) ** 2).sum()) / weight.sum()
        # The root of a mean of squares moves by half as much as the mean, over the root.
        root = find_metric(limits.metric).root
        variance += (error / (2 * _value(start["scores"][limits.metric])) if root else error) ** 2
    return bool(gain + _REACH * np.sqrt(variance) < 0)


def _value(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _summary(values: Sequence[float]) -> dict[str, float]:
    known = np.asarray(values, dtype=float)
    return {"mean": float(known.mean()), "low": float(known.min()), "high": float(known.max())}


def _harm(point: Mapping[str, Any], limits: _Limits) -> str:
    """Return why a generation is not safe any more; empty where that is not shown."""
    if not np.isfinite(point["gain"]["mean"]):
        return "a model cannot learn from it: one class is left"
    worse = _beyond_margin(point, limits)
    if worse and point["surely_worse"]:
        return worse
    for name, least in limits.kept.items():
        value = point["figures"][name]["mean"]
        if np.isfinite(value) and value < least:
            return f"{FIGURES[name].label}: {value:.3f} of generation 0, less than {least:.3g}"
    return ""


def _doubt(point: Mapping[str, Any], limits: _Limits) -> str:
    """Return why a generation that is not shown to do harm is not shown to be safe either; empty where it is."""
    worse = _beyond_margin(point, limits)
    return f"{worse}, though not beyond chance" if worse else ""


def _beyond_margin(point: Mapping[str, Any], limits: _Limits) -> str:
    gain = point["gain"]["mean"]
    if gain >= -limits.margin:
        return ""
    told = f"{limits.metric} is worse by {-gain:.4f} than with the real rows"
    return f"{told}, more than the margin of {limits.margin:.4g}"


def _sentence(chain: Mapping[str, Any], count: int) -> str:
    name, safe, reason, doubt = (chain[k] for k in ("name", "safe", "reason", "doubt"))
    if not reason and not doubt:
        return f"{name}: safe for all {count} generations that were simulated"
    first = f"{name}: safe for {safe} of {count} generations"
    if doubt and (not reason or chain["untold_from"] < chain["unsafe_from"]):
        told = f"{first}; whether generation {chain['untold_from']} is cannot be told ({doubt})"
        return f"{told}; generation {chain['unsafe_from']} is not ({reason})" if reason else told
    return f"{first} ({reason})" if safe else f"{name}: not safe for a single generation ({reason})"


def _tidy(
    start: Mapping[str, Any], found: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row a figure, generation 0 first."""
    rows = []
    for f in (start, *found):
        own = {name: f[name] for name in ("policy", "source", "seed", "generation")}
        values = {**{m: f.get("scores", {}).get(m) for m in metrics}, **f.get("figures", {}),
                  "real_share": f.get("real_share"), "rows": f.get("rows")}  # fmt: skip
        rows += [{**own, "figure": name, "value": value} for name, value in values.items() if value is not None]
    return rows
