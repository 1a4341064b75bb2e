"""What the terminal shows of a finished run: verdict, ladder, composition, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curator.records import shown_decimals
from curator.report.growth import growth_words
from curator.report.history import earlier_words
from curator.report.words import plan_of, privacy_words, settings_words, title_words, transfer_words, worth_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from curator.report.compare import Comparison
    from curator.run import Run

_COLOURS = {"better": "green", "not_worse": "cyan", "undecided": "yellow", "worse": "red", "not_applicable": "dim"}


def show_run(run: Run, console: Console) -> None:
    """Print the one screen that answers "does it help, and can we trust it?"."""
    from rich.panel import Panel
    from rich.text import Text

    results = run.results
    verdict = results["verdict"]
    alone = plan_of(results["selected"]["plan"]).real_only
    title = f"{run.name}: {title_words(results)}"
    console.print(Panel(Text(verdict["sentence"]), border_style=_COLOURS[verdict["name"]], title=title))
    for remark in results["remarks"]:
        console.print(f"Note: {remark}", markup=False)
    console.print("")
    console.print(_ladder(results))
    console.print(_composition(results))
    slices = [s for s in results["slices"] if s["verdict"] != "not_applicable"]
    if slices and not alone:
        console.print(_slices(slices, results["composition"]["slices"], decimals(results)))
        console.print(_slice_figures(slices, results["composition"]["slices"]))
    few = [f"{s['name']} ({s['reason']})" for s in results["slices"] if s["verdict"] == "not_applicable"]
    if few:
        console.print(f"Not judged: {'; '.join(few)}", markup=False, highlight=False)
    console.print(f"Mix: {plan_in_words(results['selected']['plan'])}", markup=False)
    earlier = earlier_words(results)
    if earlier:
        console.print(f"Earlier outputs: {earlier}", markup=False, highlight=False)
    worth = worth_words(results)
    if worth:
        console.print(f"Worth: {worth}", markup=False, highlight=False)
    growth = growth_words(results.get("growth"))
    if growth:
        console.print(f"More rows: {growth}", markup=False, highlight=False)
    transfer = transfer_words(results)
    if transfer:
        # Beside the table above, which has plain signs.
        transfer = transfer.replace("\N{MINUS SIGN}", "-")
        console.print(f"For other models: {transfer}", markup=False, highlight=False)
    privacy = privacy_words(results)
    if privacy:
        console.print(f"Privacy gate: {privacy}", markup=False, highlight=False)
    console.print("")
    apart = () if run.synthetic_path is None else (("to hand out", run.synthetic_path),)
    for label, path in (("dataset", run.data_path), *apart, ("report", run.report_path), ("everything", run.path)):
        console.print(f"{label:<{12 if apart else 10}} {path}", soft_wrap=True, markup=False, highlight=False)


def plan_in_words(plan: Mapping[str, Any]) -> str:
    """Return a mix in one sentence.

    Examples
    --------
    >>> plan_in_words({"ratios": [], "rare_exponent": 0.0})
    'real rows only'
    """
    ratios = [f"{ratio:.3g} x {source}" for source, ratio in plan["ratios"] if ratio > 0]
    kinds = {
        "rare_exponent": "class weights (1/share)^{:.2f}",
        "effective_beta": "effective numbers of classes, beta {:.4g}",
        "hardness": "hard rows up to {:.2f} heavier",
        "importance": "synthetic rows by odds^{:.2f}",
    }  # fmt: skip
    rare = ", ".join(text.format(plan[name]) for name, text in kinds.items() if plan.get(name, 0) > 0)
    if not ratios:
        return f"real rows only, {rare}" if rare else "real rows only"
    labels = {"keep": "labels kept", "filter": "doubted labels dropped", "relabel": "labelled by the teacher"}
    parts = [" + ".join(ratios), labels[plan["labels"]], f"weight {plan['synthetic_weight']:.2f} a synthetic row"]
    if plan["class_tilt"] > 0.005:
        parts.append(f"class tilt {plan['class_tilt']:.2f}")
    parts.extend(f"{name} >= {value:.2f}" for name, value in plan["thresholds"])
    if rare:
        parts.append(rare)
    if plan.get("settings"):
        parts.append(f"estimator with {settings_words(plan['settings'])}")
    return ", ".join(parts)


def _number(value: float | None, places: int = 4) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _signed(interval: Mapping[str, Any] | None, places: int = 4) -> str:
    if interval is None or interval["mean"] is None:
        return "-"
    low, high = interval["low"], interval["high"]
    spread = "" if low is None or high is None else f" [{low:+.{places}f}, {high:+.{places}f}]"
    return f"{interval['mean']:+.{places}f}{spread}"


def decimals(results: Mapping[str, Any]) -> int:
    """Return how many decimals the run's metric deserves."""
    metric = results["metric"]["name"]
    return shown_decimals(
        next(a["holdout"][metric]["mean"] or 0.0 for a in results["arms"] if a["name"] == "real_only")
    )


def table_of(title: str, columns: Sequence[tuple[str, str]]) -> Table:
    """Return an empty table; `columns` are names with how they are justified."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=justify == "right", overflow="fold")  # type: ignore[arg-type]
    return table


def _ladder(results: Mapping[str, Any]) -> Table:
    metric = results["metric"]["name"]
    way = "higher" if results["metric"]["greater_is_better"] else "lower"
    title = f"{metric} ({way} is better); gain over real_only on {results['rows']['holdout']} holdout rows"
    table = table_of(title, [("arm", "left"), ("folds", "right"), ("holdout", "right"), ("gain [95 %]", "right")])
    places = decimals(results)
    for arm in results["arms"]:
        if arm["skipped"]:
            continue
        holdout = (arm["holdout"] or {}).get(metric)
        style = "bold" if arm["name"] == "curated" else None
        table.add_row(
            arm["name"], _number(arm["folds"][metric]["mean"], places), _number(holdout and holdout["mean"], places),
            _signed(arm["holdout_delta"], places), style=style,
        )  # fmt: skip
    return table


def _composition(results: Mapping[str, Any]) -> Table:
    composition = results["composition"]
    title = f"Curated dataset: {composition['rows']:,} rows ({composition['effective_rows']:,.0f} effective)"
    columns = [("origin", "left"), ("rows", "right"), ("distinct", "right"), ("share of weight", "right")]
    table = table_of(title, columns)
    for name, source in composition["sources"].items():
        table.add_row(name, f"{source['rows']:,}", f"{source['distinct']:,}", f"{source['weight_share']:.1%}")
    return table


def _slices(slices: Sequence[Mapping[str, Any]], made_of: Sequence[Mapping[str, Any]], places: int) -> Table:
    columns = [("slice", "left"), ("rows", "right"), ("dataset", "right"), ("gain [95 %]", "right")]
    title = "Rare slices: holdout rows; real + synthetic rows of the dataset"
    table = table_of(title, [*columns, ("verdict", "left")])
    shares = {c["name"]: c for c in made_of}
    for s in slices:
        own = shares.get(s["name"], {})
        made = own.get("synthetic_rows")
        rows = f"{own['real_rows']:,}{'' if made is None else f'+{made:,}'}" if own else ""
        table.add_row(
            s["name"], f"{s['rows']:,}", rows, _signed(s["difference"], places), s["verdict"],
            style=_COLOURS[s["verdict"]],
        )  # fmt: skip
    return table


# What slices are measured by, under names that leave room for all.
_MEASURES = {
    "log_loss": "loss", "rmse": "rmse", "mae": "mae", "recall": "recall", "precision": "prec.",
    "recall_at_fpr@0.01": "at 1 %", "recall_at_fpr@0.05": "at 5 %",
}  # fmt: skip


def _slice_figures(slices: Sequence[Mapping[str, Any]], made_of: Sequence[Mapping[str, Any]]) -> Table:
    """Return what a model does within the slices without and with the mix, and what they weigh in the dataset."""
    known = [name for name in _MEASURES if any(name in s["measures"] for s in slices)]
    title = "Within them; recall also at 1 and 5 % false positives"
    columns = [("slice", "left"), ("from", "left"), ("weight", "right")]
    columns += [(_MEASURES[name], "right") for name in known]
    table = table_of(title if "recall" in known else "Within them", columns)
    weights = {c["name"]: c.get("weight_share") for c in made_of}
    for s in slices:
        for arm, what in (("real_only", "real"), ("curated", "mix")):
            figures = [s["measures"].get(name, {}).get(arm, {}).get("mean") for name in known]
            shown = ["" if v is None else f"{v:.{min(3, shown_decimals(v))}f}" for v in figures]
            share = weights.get(s["name"]) if arm == "curated" else None
            name = s["name"] if arm == "real_only" else ""
            table.add_row(name, what, "" if share is None else f"{share:.1%}", *shown)
    return table


def show_runs(runs: Sequence[Run], console: Console) -> None:
    """Print one line a run."""
    columns = [("run", "left"), ("verdict", "left"), ("emitted", "left"), ("metric", "left")]
    table = table_of("", [*columns, ("gain [95 %]", "right"), ("finished", "left")])
    for run in runs:
        verdict = run.results["verdict"]
        table.add_row(
            run.path.name, verdict["name"], verdict["emitted"], run.results["metric"]["name"],
            _signed(verdict["difference"], decimals(run.results)),
            str(run.manifest["finished"])[:16].replace("T", " "), style=None,
        )  # fmt: skip
    console.print(table)


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print runs as columns, figures as rows."""
    frame = comparison.frame()
    way = "higher" if comparison.greater_is_better else "lower"
    title = f"{comparison.metric} ({way} is better) on {comparison.holdout_rows} holdout rows"
    table = table_of(title, [("", "left"), *((str(name), "right") for name in frame.index)])
    for column in frame.columns:
        values = [_cell(column, value) for value in frame[column]]
        table.add_row(column, *values)
    console.print(table)


def _cell(column: str, value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124  # not a number
        return "-"
    if isinstance(value, str):
        return value
    if column in {"rows", "trials"}:
        return f"{int(value):,}"
    return f"{value:+.4f}" if column.startswith("gain") else f"{value:.4g}"
