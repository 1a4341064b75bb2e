"""What the figures of all pages share: colours, axes, layouts, as Plotly specifications."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curator.report.words import known

# Each has a contrast of at least 3 with white and with the page's dark ground, and they differ to colour-blind readers.
BLUE, ORANGE, TEAL, GREY = "#2f7fd6", "#c9701c", "#18977a", "#7a8290"
_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GROUND = "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Figure:
    """One figure of the page.

    Attributes
    ----------
    key : str
        Its element's id.
    alt : str
        What a reader who cannot see it should know.
    height : int
        Pixels on wide screens.
    spec : dict
        ``data``, ``layout``, and ``narrow``, the layout of screens that are too narrow for labels beside the plot.
    """

    key: str
    alt: str
    height: int
    spec: dict[str, Any]


def bars(intervals: Sequence[Mapping[str, Any]], colour: str) -> dict[str, Any]:
    """Return error bars; an interval without ends is drawn as none."""
    ends = [(d["mean"], d.get("low"), d.get("high")) for d in intervals]
    whole = [known(low) and known(high) for _, low, high in ends]
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 0,
        "array": [high - mean if w else 0 for (mean, _, high), w in zip(ends, whole, strict=True)],
        "arrayminus": [mean - low if w else 0 for (mean, low, _), w in zip(ends, whole, strict=True)],
    }  # fmt: skip


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis as all figures have it; `more` goes to Plotly."""
    return {
        "title": {"text": title, "standoff": 10, "font": {"size": 13}}, "automargin": True, "fixedrange": True,
        "zeroline": False, "gridcolor": "rgba(128,128,128,0.22)", "zerolinecolor": "rgba(128,128,128,0.75)",
        "zerolinewidth": 1.5, **more,
    }  # fmt: skip


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return a layout of so many pixels, legible on light and on dark paper; `more` goes to Plotly."""
    return {
        "height": height, "margin": {"l": 10, "r": 14, "t": 8, "b": 48}, "paper_bgcolor": _GROUND,
        "plot_bgcolor": _GROUND, "font": {"family": _FONT, "size": 13, "color": GREY}, "dragmode": False,
        "hovermode": "closest", "hoverlabel": {"bgcolor": "#23272e", "font": {"color": "#ffffff", "family": _FONT}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}, **more,
    }  # fmt: skip


def note(x: float, y: float, text: str, **more: Any) -> dict[str, Any]:
    """Return a text beside the data."""
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": 13}, **more}


def spec(data: list[dict[str, Any]], layout: dict[str, Any], narrow: dict[str, Any]) -> dict[str, Any]:
    """Return a figure, without the traces that have no point; `narrow` is the layout of narrow screens."""
    return {"data": [trace for trace in data if trace["x"]], "layout": layout, "narrow": narrow}


def plain(text: object) -> str:
    """Return text that Plotly, which reads a little HTML in labels, shows as it is."""
    return html.escape(str(text))
