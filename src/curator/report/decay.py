"""The pages of an audit and of a simulation of generations; made from their results alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curator.report.growth import growth_figure, growth_words
from curator.report.page import drawn, environment
from curator.report.plot import BLUE, GREY, ORANGE, TEAL, Figure, axis, layout, plain, spec
from curator.report.words import decimals_for, known

# What a page shows of each generation beside the score, those first that tell most.
_SHOWN = ("rare_categories", "tail_mass", "pair_similarity", "coverage", "entropy_ratio", "variance_ratio",
          "rare_pairs", "density")  # fmt: skip
_COLOURS = {"replace": ORANGE, "accumulate": TEAL, "fixed": "#b0578f", "curated": BLUE}
_DASHES = ("solid", "dash", "dot", "dashdot")


def audit_page(content: Mapping[str, Any]) -> str:
    """Return the page of an audit."""
    context = {
        "a": content,
        "holds": all(g["held"] for g in content["gates"]),
        "specs": "",
    }
    return environment(escape=True).get_template("audit.html.j2").render(context)


def collapse_page(content: Mapping[str, Any]) -> str:
    """Return the page of a simulation."""
    decimals = decimals_for(*content["start"]["scores"].values())
    scores = [_figure(content, "scores", m, m, 420) for m in content["metrics"]]
    kept = [_figure(content, "figures", n, content["labels"][n], 320) for n in _SHOWN]
    growth = growth_figure(content.get("growth"), content["metric"]["name"])
    context = {
        "c": content, "decimals": decimals, "headline": headline(content),
        "scores": [f for f in scores if f], "kept": [f for f in kept if f], "growth": growth,
        "growth_words": growth_words(content.get("growth")), **drawn([*scores, *kept, growth]),
    }  # fmt: skip
    return environment(escape=True).get_template("collapse.html.j2").render(context)


def headline(content: Mapping[str, Any]) -> str:
    """Return what a simulation comes to in one sentence."""
    chains = sorted(content["chains"], key=lambda c: (-c["safe"], c["policy"] != "curated"))
    count = content["asked"]["generations"]
    safe = [_with_its_rows(c) for c in chains if not c["reason"] and not c["doubt"]]
    first = chains[0]
    if safe:
        return f"Safe for all {count} generations: {', '.join(safe)}."
    if any(not c["reason"] for c in chains):
        return (
            f"No policy is shown to be safe for all {count} generations; of some, chance does not let it be told. "
            f"The longest safe is {first['name']}, for {first['safe']}."
        )
    if first["safe"]:
        return f"No policy is safe for all {count} generations; the best is {first['name']}, for {first['safe']}."
    return f"No policy that was simulated is safe for a single generation of {count}."


def _with_its_rows(chain: Mapping[str, Any]) -> str:
    """Return the name of a safe policy, and whether it is safe only because it has emitted no synthetic row."""
    alone = chain["alone"]
    return f"{chain['name']} (by real rows alone)" if alone and alone["generations"] == alone["of"] else chain["name"]


def _figure(content: Mapping[str, Any], part: str, name: str, title: str, height: int) -> Figure | None:
    """Show one figure of every chain against the generation."""
    # What is kept of generation 0 is told beside what new real rows would keep, not beside itself.
    start = content["start"][part].get(name) if part == "scores" else None
    data, sources = [], list(dict.fromkeys(c["source"] for c in content["chains"]))
    for chain in content["chains"]:
        points = [(p["generation"], p[part][name]["mean"]) for p in chain["points"] if known(p[part][name]["mean"])]
        if not points:
            continue
        if known(start):
            points = [(0, start), *points]
        colour = _COLOURS.get(chain["policy"], GREY)
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": plain(chain["name"]), "x": [g for g, _ in points],
            "y": [v for _, v in points], "hoverinfo": "x+y+name", "marker": {"color": colour, "size": 6},
            "line": {"color": colour, "width": 1.8, "dash": _DASHES[sources.index(chain["source"]) % len(_DASHES)]},
        })  # fmt: skip
    if not data:
        return None
    fresh = content["fresh"].get(name) if part == "figures" else None
    if fresh and known(fresh["mean"]):
        last = content["asked"]["generations"]
        data.append({
            "type": "scatter", "mode": "lines", "name": "new real rows", "x": [1, last], "y": [fresh["mean"]] * 2,
            "hoverinfo": "y+name", "line": {"color": GREY, "width": 1.5, "dash": "dot"},
        })  # fmt: skip
    wide = layout(height, xaxis=axis("generation", dtick=max(1, content["asked"]["generations"] // 10)),
                  yaxis=axis(plain(title)))  # fmt: skip
    if part == "figures":
        wide["showlegend"] = False
    alt = f"{title} by generation, for each policy." if part == "scores" else f"{title}: {_about(content, name)}"
    return Figure(f"figure-{part}-{name}", alt, height, spec(data, wide, {**wide, "height": height + 40}))


def _about(content: Mapping[str, Any], name: str) -> str:
    return str(content["about"][name])
