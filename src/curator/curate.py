"""The whole story: table, splits, pools, ladder, search, certificate, dataset."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from curator.certify import Certification, certify
from curator.cluster import DaskWorkers
from curator.earlier import earlier_results, judge_earlier
from curator.emit import Rarity, broken_gates, check_types, emit, emit_alone
from curator.errors import UserError
from curator.growth import measure_growth
from curator.guard import find_slices
from curator.ladder import run_ladder, tuned
from curator.parallel import LocalWorkers, Workers, available_cores
from curator.pools import Pools
from curator.prepare import Registries, fingerprint, load, prepare
from curator.progress import Progress, Silent
from curator.recipe import Recipe, SearchSpec, build_recipe, check_names, dump_recipe, load_recipe
from curator.records import ArmResult, EarlierVerdict, MixPlan, Trial
from curator.report import write_cards, write_report
from curator.results import manifest, results, trials_frame
from curator.run import Run
from curator.rundir import RunDirectory, atomic, full_disk_explained, write_json, write_text
from curator.search import Study
from curator.selection import Search
from curator.setup import Setup
from curator.table import Fold
from curator.transfer import measure_transfer
from curator.worth import dosed_plan, measure_dose, measure_worth

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


def curate(
    recipe: Recipe | str | os.PathLike[str] | Mapping[str, Any],
    data: pd.DataFrame | None = None,
    *,
    overrides: Iterable[str] = (),
    jobs: int | None = None,
    scheduler: str | None = None,
    out: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Turn a real table into the dataset to train on, and prove what it is worth.

    The same recipe, data and seed continue or return what is there already.

    Parameters
    ----------
    recipe : Recipe, path or mapping
    data : DataFrame, optional
        Takes the place of the recipe's ``data.source``.
    overrides : iterable of str
        ``key.path=value`` pairs that win over the recipe.
    jobs : int, optional
        Worker processes on this machine; by default what the recipe says. Never changes a result.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work instead, e.g. ``tcp://host:8786``. Never changes a result.
    out : path, optional
        The run directory itself; by default ``<output.directory>/<name>-<fingerprint>``.
    fresh : bool
        Start over, removing what an earlier run left there.
    progress : Progress, optional
        Is told how far things are.

    Raises
    ------
    UserError
        When recipe or data are wrong; nothing was written then.
    CuratorError
        When something else failed; what was finished is kept, and the same call continues.
    """
    asked = read_recipe(recipe, overrides)
    table = load(asked, data)
    directory = run_directory(asked, fingerprint(asked, table), out)
    if directory.complete and not fresh and directory.fingerprint() == fingerprint(asked, table):
        return Run(directory)
    setup = prepare(asked, table=table)
    check_types(table)
    directory.borrows = not fresh
    workers = open_workers(setup.recipe.search, jobs, scheduler)
    with ExitStack() as begun:
        # Before anything is written: a scheduler that does not answer is the user's mistake.
        begun.enter_context(workers)
        with (
            directory.claimed(setup.fingerprint, fresh=fresh) as state,
            full_disk_explained(directory.path),
            begun.pop_all(),  # they go before the directory is free for another run
        ):
            if state != "complete":
                _Curation(setup, directory, workers, progress or Silent(), fresh).run()
    return Run(directory)


def read_recipe(recipe: Recipe | str | os.PathLike[str] | Mapping[str, Any], overrides: Iterable[str] = ()) -> Recipe:
    """Return a recipe whose names are known here, from whatever form it was given in."""
    if isinstance(recipe, Recipe):
        if list(overrides):
            raise UserError("overrides go with a recipe file or a mapping; a Recipe is complete as it is")
        return check_names(recipe, Registries())
    if isinstance(recipe, Mapping):
        return build_recipe(recipe, overrides=overrides, vocabulary=Registries())
    return load_recipe(recipe, overrides=overrides, vocabulary=Registries())


def run_directory(recipe: Recipe, digest: str, out: str | os.PathLike[str] | None = None) -> RunDirectory:
    """Return where a run goes: `out` itself, or a folder named after recipe and fingerprint."""
    if out is not None:
        return RunDirectory(out)
    parent = recipe.origin.folder / Path(recipe.output.directory).expanduser()
    return RunDirectory(Path(os.path.normpath(parent / f"{recipe.name}-{digest[:8]}")))


def open_workers(spec: SearchSpec, jobs: int | None = None, scheduler: str | None = None) -> Workers:
    """Return workers on this machine, or those of the Dask cluster whose scheduler is named."""
    scheduler = scheduler or (spec.scheduler if jobs is None else None)
    if scheduler is not None:
        return DaskWorkers(scheduler)
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be 1 or more; got {jobs}")
    return LocalWorkers(jobs or (available_cores() if spec.jobs == "auto" else int(spec.jobs)))


@dataclass(eq=False)
class _Curation:
    """One run from its first fit to its manifest. Each step reads what an earlier one, or an earlier try, left."""

    setup: Setup
    directory: RunDirectory
    workers: Workers
    progress: Progress
    fresh: bool
    seconds: dict[str, float] = field(default_factory=dict)
    rarities: dict[str, Rarity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pools = Pools(self.setup, self.directory)

    def run(self) -> None:
        write_text(self.directory.recipe, dump_recipe(self.setup.recipe))
        # A database that cannot be used is told now, not after the pools are made.
        self.study(fresh=self.fresh).close()
        with self.timed("slices"):
            self.setup = self.setup.with_slices(find_slices(self.setup, self.progress))
            self.pools = Pools(self.setup, self.directory)
        self.make_pools(self.setup.splits.folds, "pools")
        if self.setup.recipe.task.tune:
            with self.timed("tuning"):
                self.setup = tuned(self.setup, self.pools, self.workers, self.progress)
        with self.timed("ladder"):
            ladders = [run_ladder(one, self.pools, self.workers, self.progress) for one in self.setup.each]
        with self.timed("search"):
            search = Search(self.setup, self.pools, ladders, self.workers, self.progress)
            trials = self.trials(search)
            selected, near = search.select(trials)
        # The search is closed: the holdout may be read. If there is a mix to emit, both last pools are made at once;
        # a table that is emitted in parts makes its candidates then.
        last = (self.setup.splits.certification, self.setup.splits.emission)
        only = selected.plan.real_only or self.setup.table.whole is not None
        self.make_pools(last[:1] if only else last, "last pools")
        selected, near, refused = self.within_gates(search, trials, selected, near)
        with self.timed("certification"):
            withheld = [] if only else self.broken(selected.plan, self.setup.splits.emission)
            certified = certify(self.setup, selected, ladders, self.pools, self.workers, self.progress, withheld)
        explanation = self.explanation(ladders[0]["real_only"], selected, near[0], certified[0])
        mixed = certified[0].verdict.emitted == "mix"
        with self.timed("earlier rows"):
            earlier = judge_earlier(self.setup, selected.plan, mixed=mixed, pools=self.pools, workers=self.workers,
                                    progress=self.progress)  # fmt: skip
        broken = list(dict.fromkeys(gate for gates in (*refused.values(), withheld) for gate in gates))
        if earlier is None:
            # Nothing was fed back: no stage of this run.
            del self.seconds["earlier rows"]
        composition = self.emission(selected.plan, mixed=mixed, earlier=earlier) | {"broken_gates": broken}
        explanation |= earlier_results(earlier) | self.export(search, trials, selected, refused)
        self.write(ladders, trials, selected, near, certified, composition, explanation)

    def within_gates(
        self, search: Search, trials: Sequence[Trial], selected: Trial, near: list[Trial]
    ) -> tuple[Trial, list[Trial], dict[MixPlan, list[str]]]:
        """Return the best plan that breaks none of the recipe's gates, and what those before it have broken.

        Asked where it is certified. The pool that is emitted is made of holdout rows as well, which must not choose.
        """
        refused = dict[MixPlan, list[str]]()
        while found := self.broken(selected.plan, self.setup.splits.certification):
            refused[selected.plan] = found
            selected, near = search.select(trials, refused)
        return selected, near, refused

    def broken(self, plan: MixPlan, fold: Fold) -> list[str]:
        """Return which gates a plan breaks on a fold's pool."""
        if fold.key not in self.rarities:
            self.rarities[fold.key] = Rarity(self.setup, self.pools.task(fold), fold.train)
        return broken_gates(self.setup, plan, self.rarities[fold.key])

    def study(self, *, fresh: bool = False) -> Study:
        setup = self.setup
        name = f"{setup.recipe.name}-{setup.fingerprint[:16]}"
        return Study(self.directory.study, setup.recipe.search.storage, name, setup.space,
                     metrics=len(setup.metrics), fresh=fresh)  # fmt: skip

    def make_pools(self, folds: tuple[Fold, ...], stage: str) -> None:
        with self.timed(stage):
            encodings = self.setup.encodings
            self.pools.make(folds, self.workers, self.progress, stage, encodings=encodings)

    def trials(self, search: Search) -> list[Trial]:
        """Run the search to its end, or return what an earlier try has closed it with."""
        study = self.study()
        try:
            closed = self.directory.closed_search
            trials = search.run(study) if closed is None else study.trials()[:closed]
        finally:
            study.close()
        # Whatever happens from here on, the search does not open again: the holdout comes next.
        self.directory.close_search(len(trials))
        return trials

    def explanation(
        self, reference: ArmResult, selected: Trial, best: Trial, certification: Certification
    ) -> dict[str, Any]:
        """Measure what no decision hangs on, but every reader asks: what is it worth, where does it stop, for whom."""
        if not self.setup.recipe.output.explain:
            return {}
        gain = None if selected.plan.real_only else certification.verdict.difference
        notes: list[str] = []
        hands = (self.workers, self.progress, notes)
        with self.timed("explanation"):
            worth = measure_worth(self.setup, gain, self.pools, *hands)
            plan = dosed_plan(selected.plan, best.plan)
            dose = measure_dose(self.setup, plan, reference, self.pools, *hands)
            growth = measure_growth(self.setup, plan, worth, reference, self.pools, *hands)
            mixed = certification.verdict.emitted == "mix"
            plan = selected.plan if mixed else MixPlan()
            transfer = measure_transfer(self.setup, plan, self.pools, *hands)
        return {"worth": worth, "dose": dose, "growth": growth, "transfer": transfer, "not_measured": notes}

    def emission(self, plan: MixPlan, *, mixed: bool, earlier: EarlierVerdict | None) -> dict[str, Any]:
        with self.timed("emission"):
            return emit(
                self.setup, plan, mixed=mixed, pools=self.pools, directory=self.directory, workers=self.workers,
                progress=self.progress, earlier=earlier,
            )  # fmt: skip

    def export(
        self, search: Search, trials: Sequence[Trial], selected: Trial, refused: Container[MixPlan]
    ) -> dict[str, Any]:
        """Write synthetic rows alone, where the recipe asks for them and the privacy gate lets them go."""
        if self.setup.recipe.output.export == "hybrid":
            return {}
        self.progress.stage("privacy", 1)
        with self.timed("privacy"):
            chosen = selected if selected.plan.ratio > 0 else search.best_mix(trials, refused)
            source = self.pools.task(self.setup.splits.certification)
            found = emit_alone(self.setup, chosen, source, self.directory, selected=chosen is selected)
        self.progress.advance()
        return {"privacy": found}

    def write(
        self,
        ladders: Sequence[Mapping[str, ArmResult]],
        trials: list[Trial],
        selected: Trial,
        near: Sequence[Trial],
        certified: Sequence[Certification],
        composition: dict[str, Any],
        explanation: dict[str, Any],
    ) -> None:
        with atomic(self.directory.trials) as part:
            trials_frame(trials, self.setup).to_parquet(part, index=False)
        content = results(self.setup, ladders, trials, selected, near, certified, composition, self.pools)
        write_json(self.directory.results, {**content, **explanation})
        write_report(self.directory)
        write_cards(self.directory)
        self.directory.finish(manifest(self.setup, self.seconds, datetime.now(UTC)))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


class _CallableModule(ModuleType):
    """Importing this module makes `curator.curate` the module; calling it must still curate."""

    def __call__(self, *args: Any, **kwargs: Any) -> Run:
        return curate(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
