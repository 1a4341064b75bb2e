"""The page's figures, as Plotly specifications that are legible on light and on dark paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curator.report.plot import BLUE, GREY, ORANGE, TEAL, Figure, axis, bars, layout, note, plain, spec
from curator.report.words import decimals_for, known, number, signed, span

if TYPE_CHECKING:
    import pandas as pd

_LABELS = {
    "keep": ("label kept", BLUE),
    "filter": ("label kept, filtered", ORANGE),
    "relabel": ("relabelled", TEAL),
}


def ladder_figure(results: Mapping[str, Any]) -> Figure | None:
    """Show each arm's paired gain to real-only, on the holdout and on the folds; None if there is none to show."""
    arms = [a for a in results["arms"] if a["name"] != "real_only" and not a["skipped"] and _has_gain(a)]
    if not arms:
        return None
    # The best stands on top; an arm that the holdout has no figure for comes last.
    arms.sort(key=lambda a: _mean(a["holdout_delta"], -1e300))
    decimals = decimals_for(*(_mean(a[k]) for a in arms for k in ("holdout_delta", "folds_delta")))
    shown = [(i, a) for i, a in enumerate(arms)]
    own = [(i, a) for i, a in shown if a["name"] == "curated"]
    others = [(i, a) for i, a in shown if a["name"] != "curated"]
    count = results["folds"]["count"]
    data = [
        _gains("folds", shown, "folds_delta", -0.17, GREY, "diamond-open", decimals, f"{count} folds"),
        _gains("holdout: baselines", others, "holdout_delta", 0.13, ORANGE, "circle", decimals, "holdout"),
        _gains("holdout: curated", own, "holdout_delta", 0.13, BLUE, "circle", decimals, "holdout"),
    ]
    low, high = _ladder_range(arms, results["verdict"]["margin"])
    names = [plain(a["name"]) for a in arms]
    xaxis = axis("gain over real rows alone (positive is better)", range=[low, high], zeroline=True)
    rows = {"range": [-0.6, len(arms) - 0.4], "showgrid": False, "zeroline": False, "fixedrange": True}
    ticks = {"tickvals": list(range(len(arms))), "ticktext": names, "automargin": True, "ticks": ""}
    shapes = _margin_band(results["verdict"]["margin"], low)
    height, narrow_height = 96 + 40 * len(arms), 120 + 54 * len(arms)
    wide = layout(height, xaxis=xaxis, yaxis={**rows, **ticks}, shapes=shapes)
    above = [note(0, i + 0.42, name, xref="paper", xanchor="left") for i, name in enumerate(names)]
    narrow = layout(
        narrow_height, xaxis=xaxis, yaxis={**rows, "showticklabels": False}, shapes=shapes, annotations=above
    )
    narrow["margin"] |= {"l": 6, "r": 6}
    alt = "Paired gain over real rows alone of each arm, with 95 % intervals; the table below has the holdout figures."
    return Figure("figure-ladder", alt, height, spec(data, wide, narrow))


def history_figure(trials: pd.DataFrame, results: Mapping[str, Any]) -> Figure | None:
    """Show the delta of each trial and the best so far; None without any trial."""
    frame, floor = _visible(trials)
    if frame.empty:
        return None
    complete, pruned = frame["state"] == "complete", frame["state"] != "complete"
    named = frame["name"] != "trial"
    best = frame.loc[complete, ["number", "delta"]].assign(best=lambda f: f["delta"].cummax())
    data = [
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "hoverinfo": "skip",
            "x": best["number"].tolist(), "y": best["best"].tolist(),
            "line": {"color": GREY, "width": 1.5, "shape": "hv"},
        },
        _trials("trial", frame[complete & ~named], "number", BLUE, "circle"),
        _trials("named start", frame[complete & named], "number", ORANGE, "diamond"),
        _trials("pruned", frame[pruned], "number", GREY, "x-thin-open"),
        *_rings(frame, results, "number"),
    ]  # fmt: skip
    xaxis = axis("trial", range=_from_zero(frame["number"]))
    wide = layout(380, xaxis=xaxis, yaxis=_gain_axis(floor, results))
    alt = f"Gain over real rows alone for each of {len(frame)} trials in the order of the search, and the best so far."
    return Figure("figure-history", alt, 380, spec(data, wide, {**wide, "height": 400}))


def mass_figure(trials: pd.DataFrame, results: Mapping[str, Any]) -> Figure | None:
    """Show delta against the synthetic mass that a plan asks for; None without any trial."""
    frame, floor = _visible(trials)
    if frame.empty:
        return None
    data = []
    for policy, (words, colour) in _LABELS.items():
        own = frame[(frame["labels"] == policy) & (frame["mass"] > 0)]
        symbols = ["circle" if s == "complete" else "circle-open" for s in own["state"]]
        data.append(_trials(words, own, "mass", colour, symbols))
    data.append(_trials("no synthetic row", frame[frame["mass"] == 0], "mass", GREY, "square"))
    data.extend(_rings(frame, results, "mass"))
    title = "synthetic weight asked for per unit of real weight"
    xaxis = axis(title, range=_from_zero(frame["mass"]))
    wide = layout(380, xaxis=xaxis, yaxis=_gain_axis(floor, results))
    alt = "Gain over real rows alone against the synthetic mass of each trial's plan."
    return Figure("figure-mass", alt, 380, spec(data, wide, {**wide, "height": 400}))


def front_figure(trials: pd.DataFrame, results: Mapping[str, Any]) -> Figure | None:
    """Show the gains in the first two metrics of the recipe, and the Pareto front; None where there is one metric."""
    front = results["search"].get("front")
    if not front:
        return None
    names = list(front[0]["gains"])[:2]
    labels = [results["estimator"], *(m["estimator"] for m in results.get("models") or ())]
    parts = {name: [f"gain.{name}.{label}" for label in labels] for name in names}
    frame = trials[trials["state"] == "complete"]
    if not {c for own in parts.values() for c in own} <= set(frame):
        return None
    columns = ["front.x", "front.y"]
    frame = frame.assign(**{c: frame[own].mean(axis=1) for c, own in zip(columns, parts.values(), strict=True)})
    decimals = [decimals_for(*frame[c]) for c in columns]

    def points(name: str, own: pd.DataFrame, **more: Any) -> dict[str, Any]:
        texts = [
            f"<b>trial {n}</b><br>{plain(names[0])} {signed(a, decimals[0])}<br>"
            f"{plain(names[1])} {signed(b, decimals[1])}"
            for n, a, b in zip(own["number"], own[columns[0]], own[columns[1]], strict=True)
        ]
        return {
            "type": "scatter", "mode": "markers", "name": name, "x": own[columns[0]].tolist(),
            "y": own[columns[1]].tolist(), "hovertext": texts, "hoverinfo": "text", **more,
        }  # fmt: skip

    best = frame[frame["number"].isin([p["trial"] for p in front])].sort_values(columns[0])
    chosen = frame[frame["number"] == results["selected"]["trial"]]
    ring = {"symbol": "circle-open", "size": 17, "color": BLUE, "line": {"width": 2}}
    data = [
        points("trial", frame, marker={"color": GREY, "size": 7}),
        points("Pareto front", best, mode="lines+markers", line={"color": ORANGE, "width": 1.5},
               marker={"color": ORANGE, "size": 9, "symbol": "diamond"}),
        points("selected", chosen, marker=ring),
    ]  # fmt: skip
    axes = [axis(f"gain in {plain(name)}", zeroline=True) for name in names]
    wide = layout(380, xaxis=axes[0], yaxis=axes[1])
    alt = f"Each trial's gain in {names[0]} and in {names[1]}, and those that no other beats in both."
    return Figure("figure-front", alt, 380, spec(data, wide, {**wide, "height": 400}))


def dose_figure(results: Mapping[str, Any]) -> Figure | None:
    """Show the gain against the dose of each source; None where the run measured no dose-response.

    ``results["dose"]`` maps a source to points ``{"mass": float, "mean": float, "low": float, "high": float}``, in
    the units of the gain.
    """
    dose = results.get("dose")
    if not isinstance(dose, dict) or not dose:
        return None
    colours = (BLUE, ORANGE, TEAL, GREY)
    data = []
    for k, (source, points) in enumerate(dose.items()):
        rows = [p for p in points if known(p.get("mass")) and known(p.get("mean"))]
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": plain(source),
                "x": [p["mass"] for p in rows], "y": [p["mean"] for p in rows],
                "error_y": bars(rows, colours[k % 4]), "marker": {"color": colours[k % 4], "size": 8},
                "line": {"color": colours[k % 4], "width": 1.5}, "hoverinfo": "x+y+name",
            }
        )  # fmt: skip
    title = "synthetic weight per unit of real weight"
    wide = layout(380, xaxis=axis(title, rangemode="tozero"), yaxis=_gain_axis(None))
    alt = "Gain over real rows alone against the dose of each source, with 95 % intervals."
    return Figure("figure-dose", alt, 380, spec(data, wide, {**wide, "height": 400}))


def _gains(
    name: str,
    arms: Sequence[tuple[int, Mapping[str, Any]]],
    key: str,
    lift: float,
    colour: str,
    symbol: str,
    decimals: int,
    where: str,
) -> dict[str, Any]:
    shown = [(i, a) for i, a in arms if known(_mean(a[key], None))]
    intervals = [a[key] for _, a in shown]
    texts = [
        f"<b>{plain(a['name'])}</b>, {where}<br>gain {signed(d['mean'], decimals)}<br>{span(d, decimals, sign=True)}"
        for (_, a), d in zip(shown, intervals, strict=True)
    ]
    return {
        "type": "scatter", "mode": "markers", "name": name, "hovertext": texts, "hoverinfo": "text",
        "x": [d["mean"] for d in intervals], "y": [i + lift for i, _ in shown], "error_x": bars(intervals, colour),
        "marker": {"color": colour, "size": 7 if "open" in symbol else 10, "symbol": symbol},
    }  # fmt: skip


def _trials(name: str, frame: pd.DataFrame, x: str, colour: str, symbol: str | list[str]) -> dict[str, Any]:
    decimals = decimals_for(*frame["delta"])
    texts = [
        f"<b>trial {r.number}</b>{'' if r.name == 'trial' else ' ' + plain(r.name)}, {plain(r.state)}<br>"
        f"gain {signed(r.delta, decimals)}<br>synthetic mass {number(r.mass, 2)}, {plain(r.labels)}"
        for r in frame[["number", "name", "state", "delta", "mass", "labels"]].itertuples(index=False)
    ]
    thin = {"line": {"width": 1.5, "color": colour}} if symbol == "x-thin-open" else {}
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": frame[x].tolist(), "y": frame["shown"].tolist(),
        "hovertext": texts, "hoverinfo": "text", "marker": {"color": colour, "size": 8, "symbol": symbol, **thin},
    }  # fmt: skip


def _rings(frame: pd.DataFrame, results: Mapping[str, Any], x: str) -> list[dict[str, Any]]:
    """Mark the selected trial, the raw best, and those that cannot be told from the best."""
    near = frame[frame["number"].isin(results["search"].get("near_best", []))]
    marker = {"symbol": "circle-open", "size": 11, "color": TEAL, "line": {"width": 1.2}}
    out: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "name": "within one standard error of the best", "hoverinfo": "skip",
            "x": near[x].tolist(), "y": near["shown"].tolist(), "marker": marker,
        }
    ]  # fmt: skip
    for key, name, size in (("selected", "selected", 17), ("best", "raw best", 23)):
        own = frame[frame["number"] == results[key]["trial"]]
        out.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "hoverinfo": "skip", "x": own[x].tolist(),
                "y": own["shown"].tolist(),
                "marker": {
                    "symbol": "circle-open", "size": size, "color": BLUE if key == "selected" else GREY,
                    "line": {"width": 2 if key == "selected" else 1.2},
                },
            }
        )  # fmt: skip
    return out


def _visible(trials: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """Return trials that have a delta, with `shown`: the delta, or the plot's floor for those that lie far below."""
    import pandas as pd

    frame = trials.assign(delta=pd.to_numeric(trials["delta"], errors="coerce").astype(float))
    frame = frame[frame["delta"].notna() & frame["mass"].notna()].sort_values("number")
    if frame.empty:
        return frame.assign(shown=frame["delta"]), None
    # One ruinous mix must not flatten the figure: what lies lower than this is drawn at the edge.
    top, middle = max(0.0, frame["delta"].max()), min(0.0, frame["delta"].median())
    floor = middle - 2.5 * (top - middle)
    clipped = frame["delta"] < floor
    return frame.assign(shown=frame["delta"].clip(lower=floor)), float(floor) if clipped.any() else None


def off_scale(trials: pd.DataFrame) -> int:
    """Return how many trials are drawn at the lower edge because their delta lies far below."""
    frame, _ = _visible(trials)
    return int((frame["shown"] > frame["delta"]).sum())


def _margin_band(margin: Any, low: float) -> list[dict[str, Any]]:
    if not known(margin) or margin <= 0:
        return []
    return [_band({"x0": max(low, -margin), "x1": 0, "xref": "x"}, "y", GREY)]


def _band(ends: Mapping[str, Any], along: str, colour: str) -> dict[str, Any]:
    whole = {f"{along}0": 0, f"{along}1": 1, f"{along}ref": "paper"}
    return {
        "type": "rect",
        "layer": "below",
        "fillcolor": colour,
        "opacity": 0.16,
        "line": {"width": 0},
        **ends,
        **whole,
    }


def _ladder_range(arms: Sequence[Mapping[str, Any]], margin: Any) -> tuple[float, float]:
    """Return the axis: every mean and holdout interval, and fold intervals as far as they do not dwarf those."""
    ends = [0.0, -margin if known(margin) else 0.0]
    wide: list[float] = []
    for arm in arms:
        for key, into in (("holdout_delta", ends), ("folds_delta", wide)):
            interval = arm[key] or {}
            into.extend(float(interval[k]) for k in ("low", "high") if known(interval.get(k)))
            ends.extend(float(interval[k]) for k in ("mean",) if known(interval.get(k)))
    reach = (max(ends) - min(ends)) or max((abs(v) for v in wide), default=1.0) or 1.0
    low = max(min([*ends, *wide]), min(ends) - 0.5 * reach)
    high = min(max([*ends, *wide]), max(ends) + 0.5 * reach)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _mean(interval: Mapping[str, Any] | None, default: Any = 0.0) -> Any:
    mean = None if interval is None else interval.get("mean")
    return mean if known(mean) else default


def _has_gain(arm: Mapping[str, Any]) -> bool:
    return any(known(_mean(arm[k], None)) for k in ("holdout_delta", "folds_delta"))


def _from_zero(values: pd.Series) -> list[float]:
    """Return an axis from 0 to the largest value, with room for whole markers at both ends."""
    top = float(values.max()) or 1.0
    return [-0.03 * top, 1.04 * top]


def _gain_axis(floor: float | None, results: Mapping[str, Any] | None = None) -> dict[str, Any]:
    # Gains of several models are no longer in units of the metric.
    several = bool((results or {}).get("models"))
    title = "gain, in usual gains of mixes" if several else "gain over real rows alone"
    gains = axis(title, zeroline=True)
    # The axis follows the data by itself, but leaves room below for what is drawn at the floor.
    return gains if floor is None else {**gains, "autorangeoptions": {"include": [floor * 1.05]}}


