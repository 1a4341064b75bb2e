"""A few thousand rows that are many: several batches, files and parts, quickly made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curator.score
from curator import selection
from curator.curate import curate
from curator.earlier import judge_earlier
from curator.emit import emit, parts, real
from curator.parallel import LocalWorkers
from curator.pools import Pools
from curator.prepare import prepare
from curator.progress import Silent
from curator.recipe import build_recipe
from curator.records import MixPlan, Trial
from curator.run import Run
from curator.rundir import RunDirectory
from curator.score import candidates, teacher
from curator.setup import Setup
from curator.synthesize import SYNTHESIZERS, Entry
from curator.synthesize.neighbours import Neighbours
from curator.table import whole

ROWS, BUDGET, A_FILE = 2300, 300, 700
# What the patches below come to: parts of 1,000 real rows, the least there are.
FILES, PARTS = 4, 3
FULL_LIBRARY = teacher.library


class Plain:
    """Candidates like those of `neighbours`, from a source that cannot be asked for classes."""

    notes = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        self._inner = Neighbours()
        self._inner.fit(rows, categorical=categorical, seed=seed)

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        return self._inner.sample(n, seed=seed)


class Broken:
    """A source that fails wherever it is fitted."""

    notes = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        raise ValueError("no convergence")


def few_members(task: str) -> list[teacher.Member]:
    """One member instead of all: what is tested here is the writing, not the teacher."""
    return [m for m in FULL_LIBRARY(task) if m.name == "linear"]


def few_rows_are_many(patch: pytest.MonkeyPatch) -> None:
    """Let some thousand rows be many."""
    patch.setattr(teacher, "library", few_members)
    patch.setattr(parts, "CANDIDATES_A_PART", 100)
    patch.setattr(real, "REAL_ROWS_A_FILE", A_FILE)
    patch.setattr(whole, "BATCH_ROWS", 256)
    patch.setattr(candidates, "_KEPT", {})
    patch.setitem(SYNTHESIZERS, "plain", Entry(__name__, "Plain", {}))
    patch.setitem(SYNTHESIZERS, "broken", Entry(__name__, "Broken", {}))


def without_realism(patch: pytest.MonkeyPatch) -> None:
    """Leave out the scorer that costs most."""
    patch.setattr(curator.score, "SCORERS", {k: v for k, v in curator.score.SCORERS.items() if k != "realism"})


def table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table with a column of each kind, and a third class that is rare."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    signal = x + z + rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "z": np.where(rng.random(rows) < 0.1, np.nan, z.round(2)),
            "word": rng.choice(["a", "b", None], rows),
            "kind": pd.Categorical(rng.choice(["u", "v", "w"], rows), ordered=True),
            "flag": rng.random(rows) > 0.5,
            "perhaps": pd.array(rng.choice([True, False, None], rows), dtype="boolean"),
            "count": rng.integers(0, 9, rows).astype("int16"),
            "key": 2**53 + 1 + 2 * np.arange(rows),
            "link_id": pd.array([None if i % 20 == 3 else 2**54 + 1 + 2 * i for i in range(rows)], dtype="Int64"),
            "code": [f"row-{i}" for i in range(rows)],
            "when": pd.date_range("2024-01-01", periods=rows, freq="h", tz="Europe/Berlin"),
            "same": 7,
            "y": np.select([signal > 3, signal > 0], ["top", "yes"], "no"),
        }
    )


def narrow(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table of few columns, with a weight and targets of each kind."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows)).round(3)
    return pd.DataFrame(
        {
            "x": x,
            "z": z,
            "word": rng.choice(["a", "b"], rows),
            "w": rng.integers(2, 9, rows) / 4,
            "price": (x * 3 + rng.normal(size=rows)).round(3),
            "visits": np.maximum(0, (20 + 6 * x + rng.normal(size=rows)).round()).astype("int64"),
            "y": np.where(x + z + rng.normal(size=rows) > 1, "yes", "no"),
        }
    )


def recipe(data: dict | None = None, task: dict | None = None, **sections: Any) -> dict:
    """Return a quick recipe, changed as a test asks."""
    return {
        "name": "parts",
        "data": {"target": "y", "budget": BUDGET, **(data or {})},
        "task": {"folds": 2, "repeats": 1, "estimator": "logistic_regression", **(task or {})},
        "synthesizers": sections.pop("synthesizers", ["neighbours"]),
        "search": {"trials": 2, "max_ratio": 4, **sections.pop("search", {})},
        "output": {"policy": "always", **sections.pop("output", {})},
        "filters": {"agreement": {"teacher": {"name": "hist_gradient_boosting", "params": {"max_iter": 30}}}},
        **sections,
    }


class Emitted:
    """A dataset in parts, its plan and what it was made of."""

    def __init__(self, path: Path, plan: MixPlan, setup: Setup, composition: dict[str, Any]) -> None:
        self.path, self.plan, self.setup, self.composition = path, plan, setup, composition
        self.run = Run(RunDirectory(path))
        self.files = sorted((path / "curated").glob("*"))
        self.ledgers = sorted((path / "ledger").glob("*"))

    def read(self, *, real: bool) -> pa.Table:
        """The real rows, or the synthetic ones, in the order of the files."""
        whole = pa.concat_tables([pq.read_table(f) for f in self.files])
        origin = np.array(whole["origin"].to_pylist())
        return whole.filter(pa.array((origin == "real") == real))

    @property
    def real(self) -> pd.DataFrame:
        """The real rows."""
        return self.read(real=True).to_pandas()

    @property
    def made(self) -> pd.DataFrame:
        """The synthetic rows."""
        return self.read(real=False).to_pandas()

    @property
    def kept(self) -> pd.DataFrame:
        """What the ledger says of the candidates that were kept."""
        ledger = self.run.ledger
        return ledger[ledger["decision"] == "kept"]

    @property
    def bytes(self) -> dict[str, bytes]:
        """Every file of dataset and ledger."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.relative_to(self.path).parts[0] in {"curated", "ledger", "curated.csv"}
        }


class Writer:
    """Writes datasets without a search before it: ``write(plan, frame, data={...})``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, plan: MixPlan, frame: pd.DataFrame | None = None, *, out: str = "run", mixed: bool = True,
        progress: Any = None, jobs: int = 1, workers: Any = None, **asked: Any,
    ) -> Emitted:  # fmt: skip
        """Emit a plan into a folder; what an earlier, interrupted call left there is taken up."""
        spec = recipe(**asked)
        setup = prepare(build_recipe(spec), None if "source" in spec["data"] else narrow() if frame is None else frame)
        directory = RunDirectory(self.folder / out)
        directory.path.mkdir(parents=True, exist_ok=True)
        pools = Pools(setup, directory)
        with workers or LocalWorkers(jobs) as hands:
            pools.make((setup.splits.certification,), hands, Silent(), "pools")
            asked_of = {"mixed": mixed, "pools": pools, "workers": hands, "progress": progress or Silent()}
            earlier = judge_earlier(setup, plan, **asked_of)
            composition = emit(setup, plan, directory=directory, earlier=earlier, **asked_of)
        return Emitted(directory.path, plan, setup, composition)


def curated(patch: pytest.MonkeyPatch, folder: Path, plan: MixPlan, frame: pd.DataFrame, **asked: Any) -> Emitted:
    """A whole run whose search ends with this plan."""
    found = Trial(0, "trial", plan, {}, (0.1, 0.1), (0.1, 0.2), "complete")
    patch.setattr(selection, "select", lambda *_: (found, found))
    given = {"jobs": 1, **{k: asked.pop(k) for k in ("jobs", "progress") if k in asked}}
    spec = recipe(**asked)
    run = curate(spec, frame, out=folder, **given)
    return Emitted(run.path, plan, prepare(build_recipe(spec), frame), run.results["composition"])


SOFT = MixPlan((("neighbours", 2.0),), "relabel", 0.4, 0.3, 0.5, (("novelty", 0.05), ("realism", 0.1)))
