"""The report: one self-contained page, made from what a run directory holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator.errors import RunDirectoryError
from curator.report import words
from curator.report.figures import dose_figure, front_figure, history_figure, ladder_figure, mass_figure, off_scale
from curator.report.growth import growth_figure, growth_words
from curator.report.history import depth_words, earlier_words
from curator.report.plot import Figure
from curator.rundir import RunDirectory, read_json, write_text

if TYPE_CHECKING:
    import jinja2
    import pandas as pd


@dataclass(frozen=True)
class Mark:
    """One interval of the verdict's scale, in per cent of the scale's width; no ends where the interval has none."""

    label: str
    text: str
    at: float | None
    start: float | None
    width: float | None


@dataclass(frozen=True)
class Scale:
    """The gain on the holdout and on the folds against nothing and against the margin, in per cent of the width."""

    zero: float
    margin_start: float
    margin_width: float
    marks: tuple[Mark, ...]


def write_report(directory: RunDirectory) -> None:
    """Write ``report.html`` from the run's results, trials and, where they are there, ledger and manifest.

    Raises
    ------
    RunDirectoryError
        When the directory holds no results or no trials.
    """
    write_text(directory.report, render(directory))


def render(directory: RunDirectory) -> str:
    """Return the page as text; see `write_report`."""
    import pandas as pd

    for needed in (directory.results, directory.trials):
        if not needed.is_file():
            raise RunDirectoryError(f"{directory.path}: holds no {needed.name}, so that there is nothing to report")
    results: dict[str, Any] = read_json(directory.results)
    trials = pd.read_parquet(directory.trials)
    figures = {
        "ladder": ladder_figure(results),
        "history": history_figure(trials, results),
        "mass": mass_figure(trials, results),
        "front": front_figure(trials, results),
        "dose": dose_figure(results),
        "growth": growth_figure(results.get("growth"), results["metric"]["name"]),
    }
    context = {
        **_content(results, read_recipe(directory)),
        "figures": figures,
        "growth": growth_words(results.get("growth")),
        "off_scale": off_scale(trials),
        "candidates": _candidates(directory),
        "manifest": read_json(directory.manifest) if directory.complete else None,
        **drawn(figures.values()),
    }
    return environment(escape=True).get_template("page.html.j2").render(context)


def read_recipe(directory: RunDirectory) -> dict[str, Any]:
    """Return the resolved recipe as plain data, ``${NAME}`` left as written: a report needs no secrets."""
    import yaml

    if not directory.recipe.is_file():
        return {}
    content = yaml.safe_load(directory.recipe.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _content(results: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    arms = {a["name"]: a for a in results["arms"]}
    metric = results["metric"]["name"]
    decimals = {m: words.decimals_for(*_means(results["arms"], m)) for m in results["metrics"]}
    verdict = results["verdict"]
    before, after = (((arms.get(a) or {}).get("holdout") or {}).get(metric) or {} for a in ("real_only", "curated"))
    form = (recipe.get("output") or {}).get("labels", "weighted")
    plans = {key: words.plan_of(results[key]["plan"]) for key in ("selected", "best")}
    gain_decimals = decimals[metric]
    return {
        "r": results,
        "recipe": recipe,
        "words": words,
        "metric": metric,
        "decimals": decimals,
        "d": gain_decimals,
        "headline": words.headline(results),
        "emitted": words.emitted_words(results),
        "tested": words.judged_words(results),
        "change": words.change_words(results, before.get("mean"), after.get("mean")),
        "before": before,
        "after": after,
        "scale": _scale(verdict, results["folds"]["count"], gain_decimals),
        "rivals": _rivals(results),
        "plans": plans,
        "plan_words": words.plan_words(plans["selected"], results["task"], form),
        "settings": _settings(plans, results["task"]),
        "sdv": words.sdv_sources(recipe),
        "worth": words.worth_words(results),
        "depths": depth_words(results),
        "earlier": earlier_words(results),
    }


def _means(arms: list[dict[str, Any]], metric: str) -> list[Any]:
    return [((a.get(part) or {}).get(metric) or {}).get("mean") for a in arms for part in ("holdout", "folds")]


def _scale(verdict: Mapping[str, Any], folds: int, decimals: int) -> Scale:
    """Lay out both intervals of the gain on one scale."""
    rows = verdict["difference"]["n"]
    named = ((f"Gain on {rows:,} holdout rows", "difference"), (f"Gain on {folds} folds", "folds"))
    margin = verdict["margin"] if words.known(verdict["margin"]) else 0.0
    values = [0.0, -margin, *(verdict[key].get(k) for _, key in named for k in ("mean", "low", "high"))]
    ends = [v for v in values if words.known(v)]
    reach = (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - 0.06 * reach, max(ends) + 0.06 * reach

    def place(value: Any) -> float | None:
        return round(100 * (value - low) / (high - low), 2) if words.known(value) else None

    marks = []
    for label, key in named:
        interval = verdict[key]
        start, end = place(interval.get("low")), place(interval.get("high"))
        whole = start is not None and end is not None
        text = f"{words.signed(interval.get('mean'), decimals)} ({words.span(interval, decimals, sign=True)})"
        width = round(end - start, 2) if start is not None and end is not None else None
        marks.append(Mark(label, text, place(interval.get("mean")), start if whole else None, width))
    zero, edge = place(0.0) or 0.0, place(-margin) or 0.0
    return Scale(zero, edge, round(zero - edge, 2), tuple(marks))


def _rivals(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a sceptic asks for: the best baseline on the holdout, and what tuning alone gives."""
    own = (results["verdict"]["difference"] or {}).get("mean")
    arms = [
        a
        for a in results["arms"]
        if a["name"] not in {"real_only", "curated"} and words.known((a["holdout_delta"] or {}).get("mean"))
    ]
    if not arms:
        return []
    best = max(arms, key=lambda a: float(a["holdout_delta"]["mean"]))
    shown = [best, *(a for a in arms if a["name"] == "real_tuned" and a is not best)]
    return [
        {"name": a["name"], "delta": a["holdout_delta"], "ahead": words.known(own) and a["holdout_delta"]["mean"] > own}
        for a in shown
    ]


def _settings(plans: Mapping[str, Any], task: str) -> list[tuple[str, list[str]]]:
    """Return rows of the table that sets the selected plan beside the raw best."""
    both = [plans["selected"], plans["best"]]
    sources = list(dict.fromkeys(s for p in both for s, _ in p.ratios))
    scorers = list(dict.fromkeys(n for p in both for n, _ in p.thresholds))
    rows = [(f"rows of {s} per real row", [f"{dict(p.ratios).get(s, 0):g}" for p in both]) for s in sources]
    rows.append(("labels", [p.labels if p.ratio else words.MISSING for p in both]))
    weights = [f"{p.synthetic_weight:.3f}" if p.ratio else words.MISSING for p in both]
    rows.append(("weight of a synthetic row", weights))
    rows.append(("synthetic weight per unit of real weight", [f"{p.mass:.2f}" for p in both]))
    if task != "regression":
        tilts = [f"{p.class_tilt:.2f}" if p.ratio else words.MISSING for p in both]
        rows.append(("class tilt (0 real proportion, 1 all alike)", tilts))
        rows.append(("exponent of the inverse class share in weights", [f"{p.rare_exponent:.2f}" for p in both]))
    for name, what in (("effective_beta", "beta of effective numbers"), ("hardness", "weight of the teacher's errors"),
                       ("importance", "power of the odds of being real")):  # fmt: skip
        values = [getattr(p, name) for p in both]
        if any(values):
            rows.append((what, [f"{v:.4g}" for v in values]))
    for n in scorers:
        found = [dict(p.thresholds).get(n) for p in both]
        rows.append((f"least {n}", ["off" if v is None else f"{v:.3f}" for v in found]))
    for n in dict.fromkeys(n for p in both for n, _ in p.settings):
        chosen = [dict(p.settings).get(n, words.MISSING) for p in both]
        rows.append((f"the estimator's {n}", [f"{v:.3g}" if isinstance(v, float) else str(v) for v in chosen]))
    return rows


def _candidates(directory: RunDirectory) -> pd.DataFrame | None:
    """Return candidates by source (rows) and decision (columns), decisions in the order in which they are taken."""
    import pandas as pd

    found = []
    for path in directory.ledgers:
        ledger = pd.read_parquet(path, columns=["source", "decision", "drop_reason"]) if path.is_file() else None
        if ledger is not None and not ledger.empty:
            reason = ledger["drop_reason"].where(ledger["decision"] != "kept", "kept")
            # Candidates of earlier outputs were no candidates of this run; a line of its own speaks of them.
            own = ~reason.str.startswith("retired: ")
            ledger, reason = ledger[own], reason[own]
            found.append(pd.crosstab(ledger["source"], reason))
    if not found:
        return None
    # File by file: the ledger of a large table need not fit into memory.
    counts = pd.concat(found).fillna(0).astype(int).groupby(level=0).sum()
    order = [name for name in words.DECISIONS if name in counts.columns]
    return counts[[*order, *(c for c in counts.columns if c not in words.DECISIONS)]]


def drawn(figures: Iterable[Figure | None]) -> dict[str, Any]:
    """Return what the base template draws figures with: their specifications, and the library's script."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    specs = {f.key: {"alt": f.alt, **f.spec} for f in figures if f is not None}
    return {
        "plotly": Markup(get_plotlyjs()),  # noqa: S704  # the library's own script, no text of the run
        "specs": Markup(_script_safe(specs)),  # noqa: S704  # JSON without any character that could end a script
    }


def _script_safe(content: object) -> str:
    """Return JSON in which nothing can close the script element that holds it."""
    text = json.dumps(content, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def environment(*, escape: bool) -> jinja2.Environment:
    """Return what renders this package's templates, with figures put in words; `escape` is for HTML."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.PackageLoader("curator.report", "."),
        autoescape=escape,  # noqa: S701  # off for Markdown, which has filters of its own
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "number": words.number, "signed": words.signed, "share": words.share, "span": words.span,
        "joined": words.joined,
    }  # fmt: skip
    return found
