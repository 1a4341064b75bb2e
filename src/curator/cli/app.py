"""The command line: each command parses, calls the library, and prints."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from curator import __version__
from curator.cli.interrupts import interrupts_kept
from curator.cli.pipes import hush, make_console
from curator.errors import CuratorError, RecipeError, UserError, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from curator.cli.progress import LiveProgress, PlainProgress

P = ParamSpec("P")

app = typer.Typer(
    help="Turn a real table into the best dataset to train on: real rows, and the synthetic rows proven to help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# What a command ends with where data break a gate: nothing has failed, but a scheduled job should stop.
GATE_BROKEN = 3
QUICK = ("search.trials=12", "task.folds=3", "task.repeats=1", "output.explain=false")

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
RunPath = Annotated[Path, typer.Argument(help="A run directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. search.trials=20; repeatable."),
]


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn failures into a sentence and an exit code; nobody should meet a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with interrupts_kept():
                command(*args, **kwargs)
        except CuratorError as error:
            for line in error.lines if isinstance(error, RecipeError) else [str(error)]:
                typer.echo(f"error: {one_line(line)}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted; the same command continues where it stopped", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            hush(sys.stdout)
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:  # the last resort: a sentence, and the way to the details
            if os.environ.get("CURATOR_DEBUG"):
                raise
            reason = str(error).splitlines()[0] if str(error) else ""
            typer.echo(f"error: unexpected {type(error).__name__}: {reason}", err=True)
            typer.echo("       set CURATOR_DEBUG=1 to see where, and please report it", err=True)
            raise typer.Exit(1) from None

    return run


def _progress(console: Console) -> LiveProgress | PlainProgress:
    from curator.cli.progress import LiveProgress, PlainProgress

    return LiveProgress(console) if console.is_terminal else PlainProgress()


def _print_json(content: Any) -> None:
    from curator.rundir import to_json

    try:
        typer.echo(to_json(content))
    except BrokenPipeError:
        hush(sys.stdout)  # the exit code to come tells of more than of the reader


def _version(value: bool) -> None:
    if value:
        typer.echo(f"curator {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@guarded
def init(
    data: Annotated[str, typer.Argument(help="A table: file, glob, URL or SQLAlchemy URL.", show_default=False)],
    target: Annotated[str, typer.Option(help="The column to predict.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where to write the recipe; by default NAME.yaml here.")] = None,
    query: Annotated[str | None, typer.Option(help="SQL, when DATA is an SQLAlchemy URL.")] = None,
    table: Annotated[str | None, typer.Option(help="Table name, when DATA is an SQLAlchemy URL.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing recipe.")] = False,
    json: Json = False,
) -> None:
    """Look at a table and write a commented recipe for it."""
    from curator.draft import draft_recipe, recipe_name
    from curator.rundir import full_disk_explained, write_text

    path = out or Path(f"{recipe_name(data, target)}.yaml")
    if path.exists() and not force:
        raise UserError(f"{path}: exists already; choose another place with --out, or replace it with --force")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: there is no such folder")
    draft = draft_recipe(data, target, file=path, query=query, table=table)
    with full_disk_explained(path):
        write_text(path, draft.text)
    if json:
        _print_json({"recipe": str(path), "rows": draft.rows, "task": draft.task, "minutes": draft.minutes,
                     "suspicions": draft.suspicions})  # fmt: skip
        return
    for s in draft.suspicions:
        typer.echo(one_line(f"look: {s.column} {s.sentence}{' (dropped in the recipe)' if s.drop else ''}"))
    typer.echo(f"{path}: {draft.task}, {draft.rows} rows; next: curator validate {path}, then curator run {path}")


@app.command()
@guarded
def validate(
    recipe: RecipeFile,
    set_: Set = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Measure a few small fits, and tell what a run will take.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes that the estimate is for.")] = None,
    json: Json = False,
) -> None:
    """Check a recipe and its data together, fitting nothing; with --estimate also measure what a run will take."""
    from curator.curate import read_recipe, run_directory
    from curator.draft import describe, in_words
    from curator.emit import check_types
    from curator.prepare import prepare

    if jobs is not None and not estimate:
        raise UserError("--jobs says how many workers an estimate is for: give it together with --estimate")
    started = time.perf_counter()
    setup = prepare(read_recipe(recipe, set_ or ()))
    check_types(setup.table)
    reading = time.perf_counter() - started
    about = describe(setup) | {"recipe": str(recipe), "run": str(run_directory(setup.recipe, setup.fingerprint).path)}
    lines = in_words(about)
    if estimate:
        from curator import estimate as costs
        from curator.parallel import available_cores

        typer.echo("measuring a few small fits, which takes up to half a minute", err=True)
        spec = setup.recipe.search
        hands = jobs or (available_cores() if spec.jobs == "auto" else int(spec.jobs))
        found = costs.estimate(setup, hands, reading)
        about |= {"estimate": found}
        # What was measured takes the place of the rough guess.
        lines = [*lines[:-1], f"the run goes to {about['run']}", *costs.in_words(found)]
    if json:
        _print_json(about)
    else:
        typer.echo(f"{recipe}: in order")
        width = shutil.get_terminal_size().columns
        for line in lines:
            # A path stays whole, so that it can be copied.
            typer.echo(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="    ",
                                     break_long_words=False, break_on_hyphens=False))  # fmt: skip


@app.command()
@guarded
def run(
    recipe: RecipeFile,
    set_: Set = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; never changes a result.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="URL", help="A Dask scheduler, e.g. tcp://host:8786; never changes a result.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory itself.", show_default=False)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, removing what an earlier run left.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: 12 trials, 3 folds.")] = False,
    json: Json = False,
) -> None:
    """Run a recipe, or continue it: the curated dataset, with proof. Exit code 3: an export was refused."""
    from curator.curate import curate

    if jobs is not None and scheduler is not None:
        raise UserError("--jobs and --scheduler are both given: work is done here or on the cluster; keep one of them")
    overrides = [*(QUICK if quick else ()), *(set_ or ())]
    with _progress(make_console(error=True)) as progress:
        done = curate(
            recipe, overrides=overrides, jobs=jobs, scheduler=scheduler, out=out, fresh=fresh, progress=progress
        )
    _show(done, json=json)
    if done.results.get("privacy", {}).get("verdict", "passed") != "passed":
        raise typer.Exit(GATE_BROKEN)


def _show(done: Any, *, json: bool) -> None:
    from curator.cli.screen import show_run

    if json:
        _print_json({"path": str(done.path), **done.results})
    else:
        show_run(done, make_console())


@app.command()
@guarded
def runs(
    folder: Annotated[Path, typer.Argument(help="A folder of run directories.")] = Path("runs"), json: Json = False
) -> None:
    """List the finished runs in a folder."""
    from curator.run import find_runs

    found = find_runs(folder)
    if json:
        _print_json([r.summary for r in found])
        return
    if not found:
        typer.echo(f"{folder}: no finished run in here")
        return
    from curator.cli.screen import show_runs

    show_runs(found, make_console(wide=True))


@app.command()
@guarded
def show(
    run: RunPath,
    lineage: Annotated[bool, typer.Option("--lineage", help="Show the earlier runs that it came from.")] = False,
    json: Json = False,
) -> None:
    """Show a finished run: verdict, ladder, composition, files; with --lineage the runs that it came from."""
    from curator.lineage import tree
    from curator.run import load_run

    found = load_run(run)
    if not lineage:
        _show(found, json=json)
        return
    fingerprint = str(found.manifest["fingerprint"])
    if json:
        _print_json({"path": str(found.path), "run": found.name, "fingerprint": fingerprint, "lineage": found.lineage})
        return
    typer.echo(f"{found.name} ({fingerprint[:8]})")
    for line in tree(found.lineage) if found.lineage else ("no file of it is the output of an earlier run",):
        typer.echo(line)


@app.command()
@guarded
def report(run: RunPath, json: Json = False) -> None:
    """Draw a run's report.html anew, and print where it is."""
    from curator.report import redraw
    from curator.run import load_run

    path = redraw(load_run(run))
    if json:
        _print_json({"report": str(path)})
    else:
        typer.echo(str(path))


@app.command()
@guarded
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories.", show_default=False)],
    json: Json = False,
) -> None:
    """Set runs side by side; refuses what cannot be compared."""
    from curator.cli.screen import show_comparison
    from curator.report.compare import compare as compare_runs

    comparison = compare_runs(runs)
    if json:
        _print_json(comparison.to_dict())
    else:
        show_comparison(comparison, make_console())


@app.command()
@guarded
def audit(
    dataset: Annotated[str, typer.Argument(help="A dataset: file, glob, URL or run directory.", show_default=False)],
    against: Annotated[
        str | None, typer.Option(help="Real rows, best such as the dataset was not made from; else the recipe's table.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict; by default the recipe's.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Says what columns are, which model learns, and which gates must hold.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Share of what real rows have that may be lacking.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; never changes a result.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write audit.json and audit.html into this folder.")] = None,
    json: Json = False,
) -> None:
    """Tell whether a dataset is decaying: what it has kept, beside real rows. Exits with 3 where a gate is broken."""
    from curator.cli.decay import show_audit
    from curator.collapse.audit import audit as compare_with_real

    with _progress(make_console(error=True)) as progress:
        found = compare_with_real(
            dataset, against, target=target, recipe=recipe, tolerance=tolerance, seed=seed, jobs=jobs, progress=progress
        )
    if out is not None:
        found.write(out)
    if json:
        _print_json(found.content)
    else:
        show_audit(found, make_console(), out)
    if not found.holds:
        raise typer.Exit(GATE_BROKEN)


@app.command()
@guarded
def collapse(
    recipe: RecipeFile,
    set_: Set = None,
    generations: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    policy: Annotated[
        list[str] | None, typer.Option(help="replace, accumulate, fixed or curated; repeatable; by default all.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="One of the recipe's synthesizers; repeatable; by default all.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How often each policy is simulated.")] = 1,
    real_share: Annotated[float, typer.Option(help="Real rows in each generation of the policy fixed.")] = 0.1,
    trials: Annotated[int, typer.Option(min=1, help="Of the search in each curated generation.")] = 20,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; never changes a result.")] = None,
    out: Annotated[Path | None, typer.Option(help="The directory itself.", show_default=False)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, removing what an earlier one left.")] = False,
    json: Json = False,
) -> None:
    """Simulate what becomes of a table that feeds on its own output, under several policies; resumes by itself."""
    from curator.cli.decay import show_collapse
    from curator.collapse.policies import POLICIES
    from curator.collapse.simulate import collapse as simulate

    with _progress(make_console(error=True)) as progress:
        found = simulate(
            recipe, overrides=set_ or (), generations=generations, policies=policy or POLICIES, sources=source or (),
            seeds=seeds, real_share=real_share, trials=trials, jobs=jobs, out=out, fresh=fresh, progress=progress,
        )  # fmt: skip
    if json:
        _print_json({"path": str(found.path), **found.content})
    else:
        show_collapse(found, make_console())


@app.command()
@guarded
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from curator.recipe import recipe_schema

    _print_json(recipe_schema())


def main() -> None:
    """Run the command line."""
    app()
