"""What the terminal shows of an audit, and of a simulation of generations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curator.cli.screen import table_of
from curator.records import shown_decimals
from curator.report.decay import headline
from curator.report.growth import growth_words

if TYPE_CHECKING:
    from rich.console import Console

    from curator.collapse.audit import Audit
    from curator.collapse.simulate import Collapse


def show_audit(found: Audit, console: Console, out: Path | None) -> None:
    """Print the answer, then every figure beside what real rows give."""
    from rich.panel import Panel
    from rich.text import Text

    content = found.content
    console.print(Panel(Text(found.sentence), title=content["answer"], border_style="green" if found.holds else "red"))
    for remark in content["remarks"]:
        console.print(f"Note: {remark}", markup=False)
    rows = content["rows"]
    own = "its real rows" if content["hybrid"] else "dataset"
    columns = [("figure", "left"), (own, "right"), ("fresh real rows", "right"), ("p", "right"), ("", "left")]
    heading = f"{rows['different']:,} rows beside {rows['real']:,} real ones; higher is better"
    table, untold = table_of(heading, columns), []
    for f in content["figures"]:
        if f["value"] is None:
            untold.append(f)
            continue
        shown = ("" if v is None else f"{v:.3f}" for v in (f["value"], f["reference"]["mean"], f["p"]))
        style = "red" if f["decayed"] else None
        table.add_row(f["label"], *shown, "decayed" if f["decayed"] else "", style=style)
    console.print(table)
    for f in untold:
        console.print(f"Not measured: {f['label']} ({f['reason']})", markup=False)
    for gate in content["gates"]:
        if not gate["held"]:
            console.print(f"Broken: {gate['name']}: {gate['sentence']}", markup=False)
    if out is not None:
        console.print(f"report     {out / 'audit.html'}", soft_wrap=True, markup=False, highlight=False)


def show_collapse(found: Collapse, console: Console) -> None:
    """Print how many generations each policy is safe for, and what the last one has come to."""
    from rich.panel import Panel
    from rich.text import Text

    content = found.content
    metric, start = content["metric"]["name"], content["start"]["scores"]
    console.print(Panel(Text(headline(content)), title=f"{content['name']}: what becomes of it"))
    for remark in content["remarks"]:
        console.print(f"Note: {remark}", markup=False)
    places = shown_decimals(start[metric] or 0.0)
    kept = [(content["labels"][name], "right") for name in content["kept"]]
    columns = [("policy", "left"), ("safe", "right"), (f"{metric}, last", "right"), *kept]
    count = content["asked"]["generations"]
    table = table_of(f"{metric} with the real rows: {start[metric]:.{places}f}; {count} generations", columns)
    for chain in content["chains"]:
        last = chain["points"][-1] if chain["points"] else None
        figures = [last["figures"][n]["mean"] for n in content["kept"]] if last else []
        values = [last["scores"][metric]["mean"], *figures] if last else []
        shown = ["-" if v is None else f"{v:.{places if i == 0 else 3}f}" for i, v in enumerate(values)]
        style = "red" if chain["reason"] and not chain["safe"] else None
        style = style if chain["reason"] or chain["doubt"] else "green"
        table.add_row(chain["name"], str(chain["safe"]), *(shown or ["-"] * (1 + len(kept))), style=style)
    console.print(table)
    for chain in content["chains"]:
        console.print(chain["sentence"], markup=False, highlight=False)
    words = growth_words(content.get("growth"))
    if words:
        console.print(f"More rows: {words}", markup=False, highlight=False)
    console.print("")
    for label, name in (("report", "report.html"), ("figures", "collapse.csv"), ("everything", "")):
        console.print(f"{label:<10} {found.path / name}", soft_wrap=True, markup=False, highlight=False)
