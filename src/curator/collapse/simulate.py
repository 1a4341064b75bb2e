"""What becomes of a table that feeds on its own output: generation after generation, policy beside policy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.collapse.curated import curate_generations
from curator.collapse.kept import ABOUT, LOSSES, read_generation, write_generation
from curator.collapse.outcome import outcome
from curator.collapse.place import Place
from curator.collapse.policies import (
    NAIVE,
    POLICIES,
    Chain,
    generation_seed,
    next_generation,
)
from curator.collapse.world import World, rows_like
from curator.curate import open_workers, read_recipe
from curator.errors import CuratorError, UserError, reason_of, unknown_name
from curator.evaluate import resolve_metric
from curator.parallel import FolderTask, Workers
from curator.prepare import prepare
from curator.progress import Progress, Silent
from curator.recipe import Recipe
from curator.rundir import atomic_folder, full_disk_explained, read_json, to_json
from curator.score.candidates import SOURCE_ERRORS, Source
from curator.setup import Setup
from curator.synthesize import make_synthesizer
from curator.table.model import to_plain

if TYPE_CHECKING:
    import pandas as pd

# The folder of generation 0, which all chains begin with.
START = "start"
# Trials of each curated generation: the plan hardly changes from one to the next.
CURATED_TRIALS = 20


@dataclass(frozen=True, eq=False)
class GenerationTask(FolderTask):
    """One generation of a chain: made from the last one's folder, judged, and written."""

    last: Path
    chain: Chain
    number: int
    source: Source
    world: World
    real_share: float

    @property
    def reads(self) -> tuple[Path, ...]:
        """The folder of the last generation."""
        return (self.last,)

    @property
    def cost(self) -> float:
        """Generations that accumulate grow."""
        return float(self.number if self.chain.policy == "accumulate" else 1)

    def moved(self, store: Path) -> GenerationTask:
        """Return the task as it is done in another place."""
        return replace(self, folder=store / self.folder.name, last=store / self.last.name)


def do_generation(task: GenerationTask) -> None:
    """Make and judge one generation, unless that was done before."""
    if (task.folder / ABOUT).is_file():
        return
    world = task.world
    try:
        generation = next_generation(
            task.chain.policy, read_generation(task.last), world.first,
            make_synthesizer(task.source.synthesizer, task.source.params, per_class=task.source.per_class),
            categorical=world.categorical, real_share=task.real_share,
            seed=generation_seed(task.chain.seed, task.number),
        )  # fmt: skip
        if len(generation.rows) == 0:
            raise ValueError("it made no rows")  # told like every other failure
        judged = world.judge(generation)
    except CuratorError:
        raise
    except SOURCE_ERRORS as error:
        # What a generator cannot learn from any more is an outcome, not a failure of the simulation.
        about = {"failed": f"{task.source.name} could not go on: {type(error).__name__}: {reason_of(error)[:200]}"}
        with full_disk_explained(task.folder), atomic_folder(task.folder) as part:
            (part / ABOUT).write_text(to_json(about), encoding="utf-8")
        return
    write_generation(task.folder, generation, *judged)


@dataclass(frozen=True)
class Collapse:
    """What a simulation found.

    Attributes
    ----------
    path : Path
        Where it is; holds ``collapse.json``, ``collapse.csv`` and ``report.html``.
    content : mapping
        Everything in ``collapse.json``.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def safe(self) -> dict[str, int]:
        """For each policy and synthesizer, how many generations it is safe for, of those simulated."""
        return {c["name"]: int(c["safe"]) for c in self.content["chains"]}

    def frame(self) -> pd.DataFrame:
        """Return one row a chain, seed, generation and figure."""
        import pandas as pd

        return pd.DataFrame(self.content["figures"])


def collapse(
    recipe: Recipe | str | os.PathLike[str] | Mapping[str, Any],
    data: pd.DataFrame | None = None,
    *,
    unseen: pd.DataFrame | None = None,
    generations: int = 10,
    policies: Sequence[str] = POLICIES,
    sources: Sequence[str] = (),
    seeds: int = 1,
    real_share: float = 0.1,
    trials: int = CURATED_TRIALS,
    overrides: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Collapse:
    """Simulate what becomes of a recipe's table under several policies.

    Generation 0 is the development rows. Each further one is made under each policy, and judged by what it has kept of
    generation 0 and by the recipe's model, trained on it, on the holdout rows, which nothing is ever fitted to. What is
    finished is kept: the same call goes on where an interrupted one stopped.

    Parameters
    ----------
    unseen : DataFrame, optional
        Real rows that judge, in place of the holdout; all rows of the table are then generation 0.
    generations : int
    policies : sequence of {'replace', 'accumulate', 'fixed', 'curated'}
    sources : sequence of str, optional
        Which of the recipe's synthesizers the naive policies are simulated with; by default each of them.
    seeds : int
        How many times each chain is simulated.
    real_share : float
        Of policy `fixed`, in (0, 1).
    trials : int
        Of the search in each curated generation.

    Raises
    ------
    UserError
        When recipe, data or arguments are wrong; nothing was written then.
    """
    progress = progress or Silent()
    _check(generations, policies, seeds, real_share)
    setup = prepare(read_recipe(recipe, overrides), data)
    chosen = _sources(setup, sources)
    world = _world(setup, unseen)
    asked = {
        "generations": generations, "policies": list(policies), "sources": [s.name for s in chosen], "seeds": seeds,
        "real_share": real_share, "trials": trials,
    }  # fmt: skip
    place = Place.of(setup, world, out)
    settings = {"fixed": real_share}
    naive = [p for p in NAIVE if p in policies]
    chains = [Chain(p, s.name, seed, settings.get(p)) for p in naive for s in chosen for seed in range(seeds)]
    curated = [Chain("curated", "mix", seed, trials) for seed in range(seeds if "curated" in policies else 0)]
    inner = _inner_recipe(setup.recipe, world)
    if curated:
        # What cannot be curated is told before anything is simulated.
        prepare(inner, world.table.frame)
    with ExitStack() as begun:
        # Before anything is written: a scheduler that does not answer is the user's mistake.
        workers = begun.enter_context(open_workers(setup.recipe.search, jobs))
        with place.claimed(fresh=fresh), full_disk_explained(place.path):
            with begun.pop_all():
                named = {s.name: s for s in chosen}
                _simulate(chains, named, generations, real_share, world, place, workers, progress)
            start = _read(place, None, 0)
            assert start is not None  # noqa: S101  # it was written first

            def write(done: list[Chain]) -> None:
                found = [_read(place, chain, number) for chain in done for number in range(1, generations + 1)]
                place.write(outcome(world, setup, asked, start, [f for f in found if f is not None]))

            if chains and curated:
                write(chains)
            curate_generations(curated, inner, generations, world, place, jobs, progress)
            write([*chains, *curated])
    return Collapse(place.path, place.content())


def _inner_recipe(recipe: Recipe, world: World) -> Recipe:
    """Return the recipe of a curated generation: its data are a frame that lacks what was dropped."""
    columns = set(world.table.frame)
    kinds = {name: kind for name, kind in recipe.data.types.items() if name in columns}
    # Rows that were given as weighing alike, or as real, are told apart by their columns from here on.
    data = recipe.data.model_copy(update={"source": None, "query": None, "table": None, "drop": (), "types": kinds,
                                          "provenance": "auto"})  # fmt: skip
    integrity = recipe.integrity.model_copy(update={"anchor": None})
    return recipe.model_copy(update={"data": data, "integrity": integrity})


def _check(generations: int, policies: Sequence[str], seeds: int, real_share: float) -> None:
    if not 1 <= generations <= 1000:
        raise UserError(f"generations must be between 1 and 1,000; got {generations}")
    if not policies:
        raise UserError("name at least one policy: " + ", ".join(POLICIES))
    for policy in policies:
        if policy not in POLICIES:
            raise UserError(unknown_name("policy", policy, POLICIES))
    if not 1 <= seeds <= 100:
        raise UserError(f"seeds must be between 1 and 100; got {seeds}")
    if not 0 < real_share < 1:
        raise UserError(f"the share of real rows must be above 0 and below 1; got {real_share:g}")


def _sources(setup: Setup, names: Sequence[str]) -> list[Source]:
    known = {s.name: s for s in setup.sources}
    for name in names:
        if name not in known:
            raise UserError(unknown_name("synthesizer of this recipe", name, known))
    return [known[name] for name in dict.fromkeys(names or known)]


def _world(setup: Setup, unseen: pd.DataFrame | None) -> World:
    """Return generation 0 and its judges."""
    table = setup.table
    other = "roc_auc" if table.classes else "r2"
    metrics = tuple(dict.fromkeys([setup.metric.name, resolve_metric(other, table.task).name]))
    if unseen is None:
        rows, judges = setup.splits.development, setup.splits.holdout
        plain, y, weight = table.plain.iloc[judges].reset_index(drop=True), table.y[judges], table.weight[judges]
        table = rows_like(table, rows)
    else:
        plain, y = _judges(table, unseen)
        weight = np.ones(len(y))
    return World(table, plain, y, weight, setup.estimator, metrics, setup.seed)


def _judges(table: Any, unseen: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    import pandas as pd

    lacking = [c.name for c in table.features if c.name not in unseen] + [table.target] * (table.target not in unseen)
    if lacking:
        raise UserError(f"the unseen rows lack column {lacking[0]!r}")
    plain = pd.DataFrame({c.name: to_plain(unseen[c.name], c.kind) for c in table.features})
    if table.classes:
        codes = {label: code for code, label in enumerate(table.classes)}
        y = to_plain(unseen[table.target], "categorical").map(codes)
    else:
        y = to_plain(unseen[table.target], "numerical")
    known = y.notna().to_numpy()
    if known.sum() < 2:
        raise UserError("the unseen rows have no target that the table knows")
    return plain[known].reset_index(drop=True), y[known].to_numpy(np.int64 if table.classes else float)


def _simulate(
    chains: list[Chain], sources: Mapping[str, Source], count: int, real_share: float, world: World, place: Place,
    workers: Workers, progress: Progress,
) -> None:  # fmt: skip
    """Make every generation of the naive chains, each as soon as the one before is there."""
    first = place.generation(START)

    def task(chain: Chain, number: int) -> GenerationTask:
        last = first if number == 1 else place.generation(chain.name(number - 1))
        folder = place.generation(chain.name(number))
        return GenerationTask(folder, last, chain, number, sources[chain.source], world, real_share)

    tasks = [task(chain, 1) for chain in chains]
    progress.stage("generations", len(chains) * count + 1)
    if not (first / ABOUT).is_file():
        about, losses = world.judge(world.first)
        write_generation(first, world.first, about | {"fresh": world.fresh(), "spread": world.spread()}, losses)
    progress.advance()

    def done(number: int, _: None) -> list[GenerationTask]:
        finished = tasks[number]
        progress.advance()
        further = []
        if finished.number < count and not _failed(finished.folder):
            further = [task(finished.chain, finished.number + 1)]
        elif finished.number < count:
            progress.advance(count - finished.number)
        tasks.extend(further)
        return further

    workers.map(do_generation, tasks[:], done=done)


def _failed(folder: Path) -> bool:
    return "failed" in read_json(folder / ABOUT)


def _read(place: Place, chain: Chain | None, number: int) -> dict[str, Any] | None:
    """Return what is known of a generation, or of generation 0; None where its chain has ended before."""
    folder = place.generation(START if chain is None else chain.name(number))
    if not (folder / ABOUT).is_file():
        return None
    about = read_json(folder / ABOUT)
    if (folder / LOSSES).is_file():
        about["losses"] = np.load(folder / LOSSES, allow_pickle=False)
    if chain is None:
        return {"policy": "real", "source": "", "seed": 0, "generation": 0, **about}
    return {"policy": chain.policy, "source": chain.source, "seed": chain.seed, "generation": number, **about}
