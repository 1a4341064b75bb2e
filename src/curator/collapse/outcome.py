"""What a simulation comes to: every figure by generation, and how many generations each policy is safe for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.figures import FIGURES
from curator.collapse.policies import ABOUT_POLICIES
from curator.evaluate import find_metric
from curator.prepare import Setup

if TYPE_CHECKING:
    from curator.collapse.world import World

# Beside the score, what a generation must have kept of the first one's rare categories and tails.
KEPT = {"rare_categories": 0.95, "tail_mass": 0.95}


def outcome(
    world: World, setup: Setup, asked: Mapping[str, Any], start: Mapping[str, Any], found: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of ``collapse.json``."""
    metric = setup.metric
    reference = start["scores"][metric.name]
    margin = metric.margin(setup.recipe.rare.tolerance, reference)
    chains = []
    for policy, source in dict.fromkeys((f["policy"], f["source"]) for f in found):
        own = [f for f in found if (f["policy"], f["source"]) == (policy, source)]
        chains.append(_chain(policy, source, own, start, metric.name, margin))
    growth = next((f["growth"] for f in found if f.get("growth")), None)
    return {
        "name": setup.recipe.name, "target": world.table.target, "task": world.table.task,
        "estimator": world.estimator.label,
        "metric": {"name": metric.name, "greater_is_better": metric.greater_is_better},
        "metrics": list(world.metrics), "rows": {"generation_0": len(world.table), "judges": len(world.y)},
        "asked": dict(asked), "margin": margin, "kept": KEPT,
        "start": {"scores": start["scores"], "figures": start["figures"]},
        "chains": chains, "growth": growth, "figures": _tidy(start, found, world.metrics),
        "labels": {name: meaning.label for name, meaning in FIGURES.items()},
        "about": {name: meaning.about for name, meaning in FIGURES.items()},
    }  # fmt: skip


def _chain(
    policy: str, source: str, own: list[dict[str, Any]], start: Mapping[str, Any], metric: str, margin: float
) -> dict[str, Any]:
    numbers = sorted({f["generation"] for f in own})
    points, reasons, ended = [], [], ""
    for number in numbers:
        at = [f for f in own if f["generation"] == number]
        ended = next((f["failed"] for f in at if "failed" in f), "")
        if ended:
            reasons.append(ended)
            break
        point = _point(number, at, start, metric)
        points.append(point)
        reasons.append(_harm(point, metric, margin))
    first = next((i for i, reason in enumerate(reasons) if reason), len(reasons))
    reason = reasons[first] if first < len(reasons) else ""
    name = policy if source == "mix" else f"{policy}, {source}"
    return {
        "name": name, "policy": policy, "source": source, "about": ABOUT_POLICIES[policy], "points": points,
        "safe": first, "unsafe_from": numbers[first] if reason else None, "reason": reason,
        "ended": ended, "sentence": _sentence(name, first, len(numbers), reason),
    }  # fmt: skip


def _point(number: int, at: Sequence[Mapping[str, Any]], start: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the means over seeds, and the least and greatest where there are several."""
    gain = find_metric(metric).gain
    gains = [gain(_value(f["scores"][metric]), start["scores"][metric]) for f in at]
    scores = {name: _summary([_value(f["scores"][name]) for f in at]) for name in at[0]["scores"]}
    figures = {name: _summary([_value(f["figures"].get(name)) for f in at]) for name in at[0]["figures"]}
    return {
        "generation": number, "gain": _summary(gains), "scores": scores, "figures": figures,
        "real_share": float(np.mean([f["real_share"] for f in at])), "rows": int(np.mean([f["rows"] for f in at])),
        "deepest": max(int(f["deepest"]) for f in at),
        **({"emitted": [f["emitted"] for f in at]} if "emitted" in at[0] else {}),
    }  # fmt: skip


def _value(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _summary(values: Sequence[float]) -> dict[str, float]:
    known = np.asarray(values, dtype=float)
    return {"mean": float(known.mean()), "low": float(known.min()), "high": float(known.max())}


def _harm(point: Mapping[str, Any], metric: str, margin: float) -> str:
    """Return why a generation is not safe any more; empty where it is."""
    gain = point["gain"]["mean"]
    if not np.isfinite(gain):
        return "a model cannot learn from it: one class is left"
    if gain < -margin:
        return f"{metric} is worse by {-gain:.4f} than with the real rows, more than the margin of {margin:.4g}"
    for name, least in KEPT.items():
        value = point["figures"][name]["mean"]
        if np.isfinite(value) and value < least:
            return f"{FIGURES[name].label}: {value:.3f} of generation 0, less than {least:g}"
    return ""


def _sentence(name: str, safe: int, count: int, reason: str) -> str:
    if not reason:
        return f"{name}: safe for all {count} generations that were simulated"
    if safe == 0:
        return f"{name}: not safe for a single generation ({reason})"
    return f"{name}: safe for {safe} of {count} generations ({reason})"


def _tidy(
    start: Mapping[str, Any], found: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row a figure, generation 0 first."""
    rows = []
    for f in ({"policy": "real", "source": "", "seed": 0, "generation": 0, **start}, *found):
        own = {name: f[name] for name in ("policy", "source", "seed", "generation")}
        values = {**{m: f.get("scores", {}).get(m) for m in metrics}, **f.get("figures", {}),
                  "real_share": f.get("real_share"), "rows": f.get("rows")}  # fmt: skip
        rows += [{**own, "figure": name, "value": value} for name, value in values.items() if value is not None]
    return rows
