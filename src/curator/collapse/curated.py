"""Generations of the policy `curated`: each is a run of its own, from the dataset that the last one has emitted."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from curator.collapse.kept import ABOUT, write_generation
from curator.collapse.place import Place
from curator.collapse.policies import Chain, Generation, generation_seed
from curator.collapse.world import World
from curator.curate import curate, open_workers
from curator.parallel import LocalWorkers
from curator.progress import Progress, Silent
from curator.recipe import Recipe
from curator.run import load_run
from curator.synthesize import TARGET
from curator.table.model import to_plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CuratedTask:
    """One curated generation of a chain.

    Attributes
    ----------
    folder : Path
        Of the generation.
    run : Path
        Of the run that makes it.
    last : Path, optional
        The run whose dataset it begins with; the first one begins with the table itself.
    recipe : Recipe
        With the seed, the trials and the output of this generation.
    jobs : int, optional
        Worker processes of the run.
    """

    folder: Path
    run: Path
    last: Path | None
    recipe: Recipe
    world: World
    jobs: int | None

    reads, writes, cost = (), (), 1.0

    def moved(self, store: Path) -> Self:
        """Refuse: a run directory stays on its machine."""
        raise NotImplementedError(f"a curated generation cannot be moved to {store}")


def do_curated(task: CuratedTask, progress: Progress | None = None) -> None:
    """Run one generation, or find it finished, and judge what it emits."""
    data = task.world.table.frame if task.last is None else load_run(task.last).data
    run = curate(task.recipe, data, out=task.run, jobs=task.jobs, progress=progress or Silent())
    if not (task.folder / ABOUT).is_file():
        generation = _emitted(run.data, task.world)
        about, losses = task.world.judge(generation)
        about |= {"emitted": run.results["verdict"]["emitted"], "growth": run.results.get("growth")}
        write_generation(task.folder, replace(generation, weight=None), about, losses)
    # Nothing reads the pool of a finished generation again.
    shutil.rmtree(run.path / "pool", ignore_errors=True)


def curate_generations(
    chains: list[Chain], inner: Recipe, count: int, world: World, place: Place, jobs: int | None, progress: Progress
) -> None:
    """Curate generation after generation; several chains at once where they are on this machine.

    Parameters
    ----------
    inner : Recipe
        Of every generation but for its seed, trials and output.
    """
    workers = open_workers(inner.search, jobs)
    at_once = isinstance(workers, LocalWorkers) and workers.slots > 1 and len(chains) > 1
    each = max(1, workers.slots // len(chains)) if at_once else jobs

    def task(chain: Chain, number: int) -> CuratedTask:
        assert chain.setting is not None  # noqa: S101  # the trials of its search
        folder = place.generation(chain.name(number))
        last = None if number == 1 else place.runs / place.generation(chain.name(number - 1)).name
        search = {"seed": generation_seed(chain.seed, number), "trials": int(chain.setting)}
        # What growth comes to is measured once.
        output = {"explain": number == 1 and chain.seed == 0, "export": "hybrid"}
        recipe = inner.model_copy(update={"search": inner.search.model_copy(update=search),
                                          "output": inner.output.model_copy(update=output)})  # fmt: skip
        return CuratedTask(folder, place.runs / folder.name, last, recipe, world, each)

    if not at_once:
        for chain in chains:
            for number in range(1, count + 1):
                do_curated(task(chain, number), progress)
        return
    # Much of a run is one fit after another, so that chains side by side need less time than one that has all workers.
    progress.stage("curated generations", len(chains) * count)
    going = [(chain, 1) for chain in chains]

    def done(finished: int, _: None) -> list[CuratedTask]:
        progress.advance()
        chain, number = going[finished]
        if number == count:
            return []
        going.append((chain, number + 1))
        return [task(chain, number + 1)]

    with workers:
        workers.map(do_curated, [task(chain, number) for chain, number in going], done=done)


def _emitted(data: pd.DataFrame, world: World) -> Generation:
    import pandas as pd

    table = world.table
    rows = pd.DataFrame({c.name: to_plain(data[c.name], c.kind) for c in table.features})
    target = to_plain(data[table.target], "categorical" if table.classes else "numerical")
    weight = data["sample_weight"].to_numpy(float)
    return Generation(rows.assign(**{TARGET: target}), data["generation"].to_numpy(np.int64),
                      None if np.all(weight == weight[0]) else weight)  # fmt: skip
