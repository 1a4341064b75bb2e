"""The figure of growth: the score against the size of the dataset, and the sentence that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curator.report.plot import BLUE, GREY, ORANGE, Figure, axis, layout, plain, spec
from curator.report.words import known

_WAYS = (("naive", "and naive synthetic rows", ORANGE), ("curated", "and curated rows", BLUE))


def growth_figure(growth: Mapping[str, Any] | None, metric: str) -> Figure | None:
    """Show the score against the rows that a model learns from; None where it was not measured."""
    if not growth:
        return None
    real = [p for p in growth["real"] if known(p["score"]["mean"])]
    data = [_line("real rows", [p["rows"] for p in real], [p["score"]["mean"] for p in real], GREY)]
    for key, name, colour in _WAYS:
        points = [p for p in growth[key]["points"] if known(p["score"])]
        rows, scores = [p["rows"] for p in points], [p["score"] for p in points]
        # They begin with all the real rows that there are.
        if real:
            rows, scores = [real[-1]["rows"], *rows], [real[-1]["score"]["mean"], *scores]
        data.append(_line(name, rows, scores, colour))
    axes = axis("rows that the model learns from", type="log"), axis(f"{plain(metric)} on folds")
    wide = layout(380, xaxis=axes[0], yaxis=axes[1])
    alt = f"{metric} against the number of rows: real ones, with naive synthetic rows, and with curated rows."
    return Figure("figure-growth", alt, 380, spec(data, wide, {**wide, "height": 400}))


def _line(name: str, x: list[float], y: list[float], colour: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y, "hoverinfo": "x+y+name",
        "marker": {"color": colour, "size": 8}, "line": {"color": colour, "width": 1.5},
    }  # fmt: skip


def growth_words(growth: Mapping[str, Any] | None) -> str:
    """Return where more rows stop helping and where they begin to harm; empty where it was not measured."""
    if not growth:
        return ""
    return "; ".join(f"{key} rows {_turning(growth[key])}" for key, *_ in _WAYS if growth[key]["points"])


def _turning(way: Mapping[str, Any]) -> str:
    harm = f"do harm from {way['harms_from']:g} a real row on" if way["harms_from"] else ""
    help_ = f"stop helping at {way['stops']:g} a real row" if way["stops"] else "are shown to help at no size"
    return f"{help_} and {harm}" if harm else help_
