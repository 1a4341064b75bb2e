"""The stages of a run: what was measured, put together for all folds, arms and trials."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curator.emit.parts import CANDIDATES_A_PART, LEAST_ROWS_A_PART
from curator.estimate.costs import Costs
from curator.estimate.rehearsal import measure
from curator.estimate.slow import slow_spots
from curator.estimate.words import duration
from curator.evaluate import resample_count, tuning_draws
from curator.ladder import TUNING_DRAWS
from curator.parallel import available_cores
from curator.privacy.rows import MOST_JUDGED
from curator.refit import ORDERS
from curator.score.candidates import BALANCING
from curator.search import AHEAD, RECENT, STARTUP_TRIALS, rungs
from curator.setup import Setup
from curator.table import Fold
from curator.table.whole import BATCH_ROWS, WholeFrame
from curator.transfer import other_models
from curator.worth import DOSES, SHARES

# The weights of the bootstrap come in chunks of at most so many numbers, of which ranking metrics hold some copies.
_CHUNK, _COPIES = 20_000_000, 6
# Seconds of reading from which on it is worth saying.
_LONG_TO_READ = 5.0
# Cores that others keep busy, from which on it is worth saying.
_BUSY = 0.3
# Of the trials at a rung, about so many are not pruned there.
_GOING_ON = 0.67


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take, when it begins from nothing.

    Attributes
    ----------
    seconds : mapping of str to float
        Wall time by stage, by the names that manifest.json has; `slices` takes next to nothing and is left out.
    total : float
        Their sum; reading the table and drawing the report take some seconds more.
    jobs : int
        The worker processes it holds for.
    peak_bytes : int or None
        Resident memory of all processes together at its highest; None where it cannot be measured.
    warnings : tuple of str
        What will be slow, where, and what to do.
    notes : tuple of str
        What else to know of these figures.
    """

    seconds: Mapping[str, float]
    total: float
    jobs: int
    peak_bytes: int | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def estimate(setup: Setup, jobs: int, reading: float = 0.0) -> Estimate:
    """Measure a few small fits, and predict time and memory of a run.

    Parameters
    ----------
    setup : Setup
    jobs : int
        Worker processes.
    reading : float
        Seconds that reading and checking the table took, which a run does as well.
    """
    found = forecast(setup, measure(setup), jobs)
    if reading < _LONG_TO_READ:
        return found
    return replace(found, notes=(*found.notes, f"reading the table takes {duration(reading)} more"))


def forecast(setup: Setup, costs: Costs, jobs: int) -> Estimate:
    """Put together what was measured, for a number of worker processes."""
    run = _Run(setup, costs, jobs)
    splits, spec, task = setup.splits, setup.recipe.search, setup.recipe.task
    tuning = run.tuning(splits.folds[: task.folds])
    # A table that is emitted in parts makes its last candidates part by part.
    last = (splits.certification,) if setup.table.whole is not None else (splits.certification, splits.emission)
    seconds = {"pools": run.start() + run.pools(splits.folds)}
    if task.tune:
        seconds["tuning"] = tuning
    seconds["ladder"] = run.arms(splits.folds) + (0.0 if task.tune else tuning)
    seconds["search"] = run.search(spec.trials)
    if spec.timeout is not None:
        seconds["search"] = min(seconds["search"], spec.timeout + run.some(AHEAD) / jobs)
    seconds["last pools"] = run.pools(last)
    seconds["certification"] = run.certification()
    if setup.recipe.output.explain:
        seconds["explanation"] = run.explanation()
    seconds["emission"] = run.emission()
    if setup.recipe.output.export == "synthetic_only":
        seconds["privacy"] = run.privacy()
    notes = list(costs.notes)
    if costs.others > _BUSY and jobs + costs.others > (os.cpu_count() or 1):
        notes.append(
            f"other processes keep {costs.others:.1f} of the {os.cpu_count()} cores busy; these figures are for when "
            "they go on"
        )
    least = len(costs.named) + max(RECENT, STARTUP_TRIALS) + AHEAD - 1
    if spec.early_stop and not setup.further and least < spec.trials:
        total = sum(seconds.values()) - seconds["search"] + min(seconds["search"], run.search(least))
        notes.append(
            f"the search may end after {least} of the {spec.trials} trials (search.early_stop); the run then takes "
            f"about {duration(total)}"
        )
    return Estimate(seconds, sum(seconds.values()), jobs, run.peak(), tuple(slow_spots(setup, seconds)), tuple(notes))


def makespan(tasks: Sequence[float], jobs: int) -> float:
    """Return when the last of some tasks ends, if each worker takes the longest that is left.

    Examples
    --------
    >>> makespan([2.0, 1.0, 1.0], 2), makespan([3.0] * 5, 2)
    (2.0, 9.0)
    """
    ends = [0.0] * jobs
    for seconds in sorted(tasks, reverse=True):
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


@dataclass(frozen=True, eq=False)
class _Run:
    """The stages of a run on so many workers, in seconds."""

    setup: Setup
    costs: Costs
    jobs: int

    def wall(self, tasks: Sequence[float]) -> float:
        """More workers than cores take turns."""
        return makespan(tasks, self.jobs) * self._crowd

    @property
    def _crowd(self) -> float:
        """How many times as long a task takes where it has to wait for a core."""
        cores, others = os.cpu_count() or 1, self.costs.others
        if others > cores - 1:
            # They shared the cores with this process, and would have taken more.
            others = others / max(cores - others, 0.1)
        return max(1.0, self.jobs / available_cores(), (self.jobs + others) / cores)

    def start(self) -> float:
        """Workers begin at once; with one job, tasks run in the process that has read the table."""
        known = self.costs.process
        return (known.get("load", 0.0) + (known.get("begin", 0.0) if self.jobs > 1 else 0.0)) * self._crowd

    def pools(self, folds: Sequence[Fold]) -> float:
        costs, names = self.costs, [s.name for s in self.setup.sources]
        parts = [
            costs.at(f"fit/{name}", len(fold.train)) + costs.at(f"sample/{name}", len(fold.train))
            for fold in folds
            for name in (*names, *((BALANCING,) if len(fold.valid) else ()))
        ]
        pools = [costs.total("pool/", len(f.train)) + costs.total("score/", len(f.train)) for f in folds]
        return self.wall(parts) + self.wall(pools)

    def fit(self, ratio: float, fold: Fold) -> float:
        """One fit and its judgement, with so many rows to train on per real row."""
        rows = ratio * len(fold.train)
        return self.costs.at("fit", rows) + self.costs.at("predict", rows) * len(fold.valid)

    def tuning(self, folds: Sequence[Fold]) -> float:
        wanted = min(TUNING_DRAWS, self.setup.recipe.search.trials)
        count = len(tuning_draws(self.setup.tuning_space, wanted, self.setup.seed))
        return self.wall([self.costs.draw * self.fit(1.0, f) for f in folds] * count) if count > 1 else 0.0

    def arms(self, folds: Sequence[Fold]) -> float:
        return self.wall([self.fit(ratio, fold) for ratio in self.costs.arms.values() for fold in folds])

    def search(self, trials: int) -> float:
        costs, named = self.costs, self.costs.named[:trials]
        # The first know no leader yet. Trials that the sampler proposes take what random ones take, on average.
        fits = sum(self.trial(ratio, prunes=i >= AHEAD) for i, ratio in enumerate(named))
        fits += self.some(trials - len(named))
        # With several jobs, the others fit while this process proposes.
        overhead = (costs.at("propose", trials / 2) + costs.store) * trials / self.jobs
        return costs.process.get("open", 0.0) + self._crowd * fits / self.jobs + overhead

    def some(self, trials: int) -> float:
        """So many trials of the sampler's, in one process."""
        return trials * sum(self.trial(ratio, prunes=True) for ratio in self.costs.random) / len(self.costs.random)

    def trial(self, ratio: float, *, prunes: bool) -> float:
        """One trial, rung by rung; one that the ladder has evaluated costs nothing."""
        folds, total, begun, share = self.setup.splits.folds, 0.0, 0, 1.0
        prunes = prunes and self.setup.recipe.search.pruning and not self.setup.further
        for step in rungs(len(folds)) if prunes else [len(folds)]:
            total += share * sum(self.fit(ratio, fold) for fold in folds[begun:step])
            begun, share = step, share * _GOING_ON
        return total if ratio > 0 else 0.0

    def certification(self) -> float:
        """Fit the ladder and a mix on development rows, and the mix on the folds; resample; fit what is emitted."""
        fold, held = self.setup.splits.certification, len(self.setup.splits.holdout)
        ratios = [*self.costs.arms.values(), float(np.mean(self.costs.random))]
        bootstrap = self.costs.resample * held * resample_count(held) * len(ratios) * len(self.setup.estimators)
        again = 0.0
        if self.setup.table.whole is None:
            # Fits were timed with all of the recipe's models together; here each is alone, and so is each order.
            count, models = ORDERS * len(self.setup.estimators), len(self.setup.estimators)
            again = self.wall([self.fit(ratios[-1], self.setup.splits.emission) / models] * count)
        judged = sum(len(f.valid) for f in self.setup.splits.folds) / self.setup.splits.repeats
        bootstrap += self.costs.resample * judged * resample_count(int(judged)) * len(self.setup.estimators)
        folds = [self.fit(r, f) for r in (1.0, ratios[-1]) for f in self.setup.splits.folds]
        return self.wall([self.fit(r, fold) for r in ratios] + folds) + bootstrap + again

    def explanation(self) -> float:
        """Measure the learning curve, each source at several doses, rows being relabelled, and other models."""
        folds = self.setup.splits.folds[: self.setup.recipe.task.folds]
        name, rows = next(((n, r) for n, r in self.costs.arms.items() if n.startswith("relabelled")), ("", 1.0))
        each = (rows - 1) / float(name.removeprefix("relabelled_").removesuffix("x") or 1)
        doses = [1 + each * d for d in DOSES if d <= self.setup.max_ratio] * len(self.setup.sources)
        # What other models take is taken for what the recipe's own does.
        others = [self.fit(ratio, self.setup.splits.certification) for ratio in (1.0, rows)]
        own = [self.fit(ratio, fold) for ratio in (*SHARES, *doses) for fold in folds]
        # Fits were timed with all of the recipe's models together; here each is alone.
        return self.wall([*own, *others * len(other_models(self.setup))]) / len(self.setup.estimators)

    def emission(self) -> float:
        """Candidates in the table's own types, written; of a large table in parts, each sampled and scored anew."""
        costs, table = self.costs, self.setup.table
        n, sources = len(table), self.setup.sources
        if table.whole is None:
            return costs.at("emission", n)
        share = min(1.0, costs.ratio / (self.setup.max_ratio * len(sources)))
        whole = costs.total("sample/", n) + costs.total("score/", n) + costs.at("emission", n)
        made = share * self.setup.max_ratio * len(sources)
        rows = min(table.whole.rows, max(LEAST_ROWS_A_PART, CANDIDATES_A_PART / made))
        parts = math.ceil(table.whole.rows / rows)
        fits = sum(costs.at(f"fit/{s.name}", n) for s in sources) + costs.at("pool/teacher", n)
        # Real rows are read and written by one process, in proportion to their number.
        real = costs.at("rewrite", BATCH_ROWS) * table.whole.rows / BATCH_ROWS
        return (fits + real) * self._crowd + self.wall([share * whole * rows / n] * parts)

    def privacy(self) -> float:
        """Attack the synthetic rows, on so many real ones at most, in one process."""
        return self.costs.at("privacy", min(len(self.setup.splits.development), MOST_JUDGED)) * self._crowd

    def peak(self) -> int | None:
        """Add up what processes load, the table with its copies for the folds, and the work that goes on at once."""
        setup, costs, known = self.setup, self.costs, self.costs.process
        if "opened" not in known:
            return None
        splits = setup.splits
        whole = [setup.table.whole.frame] if isinstance(setup.table.whole, WholeFrame) else []
        held = [setup.table.frame, setup.table.plain, *whole]
        table = sum(int(frame.memory_usage(deep=True).sum()) for frame in held)
        table += 8 * setup.table.plain.size * (len(splits.folds) + 2)
        sizes = sorted((len(f.train) for f in (*splits.folds, splits.certification, splits.emission)), reverse=True)
        # Pools of the folds stay mapped in every worker that has read them.
        mapped = costs.pool_bytes * sum(sizes) * self.jobs
        work = costs.row_bytes * sum(sizes[: self.jobs])
        rows = len(splits.holdout)
        bootstrap = 8 * _COPIES * min(_CHUNK, resample_count(rows) * rows)
        here = known["opened"] - (0.0 if self.jobs == 1 else known["loaded"] - known["bare"])
        others = 0.0 if self.jobs == 1 else self.jobs * known["loaded"]
        return int(here + others + table + mapped + max(work, bootstrap))
