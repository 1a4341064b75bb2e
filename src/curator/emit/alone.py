"""Synthetic rows alone, in a file that may leave: written only where the privacy gate lets them go."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.emit.arrow import synthetic_table
from curator.emit.rarity import candidates_of
from curator.mix import Mixture, mix
from curator.parallel import one_thread
from curator.privacy import LIMITS, PrivacyReport, privacy_figures
from curator.records import Trial
from curator.rundir import RunDirectory, atomic
from curator.score.build import PoolTask
from curator.score.pool import Pool, load_pool
from curator.setup import Setup
from curator.table import UNKNOWN, UNKNOWN_DEPTH, Table, restore, to_plain

if TYPE_CHECKING:
    import pandas as pd

NOTHING = (
    "Nothing to hand out: no plan with synthetic rows was tried that the recipe allows, or none of its candidates "
    "passed; name other synthesizers, or lower the filters or the gates."
)


def emit_alone(
    setup: Setup, trial: Trial | None, source: PoolTask, directory: RunDirectory, *, selected: bool
) -> dict[str, Any]:
    """Attack the synthetic rows of a plan, and write them alone where the gate lets them go.

    They are candidates for the development rows, from the pool of `source`: the holdout has had no part in them, so
    that its rows are controls of the very rows that leave. What an earlier try has left is removed first.

    Parameters
    ----------
    trial : Trial, optional
        The plan; None where there is none with synthetic rows.
    selected : bool
        Whether it is the one that the search has selected.

    Returns
    -------
    dict
        The part ``privacy`` of results.json.
    """
    for path in (directory.synthetic, directory.synthetic_csv):
        path.unlink(missing_ok=True)
    deep = _too_deep(setup)
    found = None if trial is None or deep else _rows(setup, trial, source)
    if trial is None or found is None:
        return {"verdict": "not_applicable", "sentence": deep or NOTHING, "limits": LIMITS, "file": None,
                "figures": [], "notes": []}  # fmt: skip
    with one_thread():
        report = attacked(setup, found, setup.splits.development, setup.splits.holdout)
    if report.verdict == "passed":
        _write(found, setup, directory)
    return {
        **report.to_dict(),
        "file": directory.synthetic.name if report.verdict == "passed" else None,
        "plan": {"name": trial.name, "trial": trial.number if trial.number >= 0 else None, "selected": selected,
                 "plan": asdict(trial.plan)},
        "notes": _notes(setup, selected),
    }  # fmt: skip


def _too_deep(setup: Setup) -> str:
    """Say that synthetic rows would be of a generation that the recipe does not allow; empty where it does."""
    most, depth = setup.recipe.integrity.max_generation, setup.table.next_generation
    if most is None or depth <= most:
        return ""
    return (
        f"Nothing to hand out: synthetic rows are of generation {depth}, and integrity.max_generation allows {most} at "
        "most."
    )


def _rows(setup: Setup, trial: Trial, source: PoolTask) -> pd.DataFrame | None:
    """Return the synthetic rows of a plan as they would leave; None where there are none."""
    pool = load_pool(source.folder)
    # Weights by the odds of being real are scores of single rows, which never leave.
    plan = replace(trial.plan, importance=0.0)
    # So are the teacher's probabilities: of several labels with weights, one that is drawn by these.
    form = "sampled" if setup.recipe.output.labels == "weighted" else setup.recipe.output.labels
    mixture = mix(plan, pool, form, weights=setup.estimator.takes_weights)
    return _shuffled(setup, pool, mixture, source) if len(mixture.candidate) else None


def _shuffled(setup: Setup, pool: Pool, mixture: Mixture, source: PoolTask) -> pd.DataFrame:
    """Return the rows in random order and numbered anew, since positions tell which real row a candidate began with."""
    chosen = candidates_of(source).iloc[mixture.candidate].reset_index(drop=True)
    rows = restore(chosen, mixture.label, setup.table)
    for name in rows.select_dtypes("category").columns:
        # The type would list values of real rows that no synthetic row has.
        rows[name] = rows[name].cat.remove_unused_categories()
    distinct, place = np.unique(mixture.candidate, return_inverse=True)
    number = np.random.default_rng(_secret(setup)).permutation(len(distinct))[place]
    frame: pd.DataFrame = rows.drop(columns="sample_weight", errors="ignore").assign(
        sample_weight=mixture.weight * len(distinct) / mixture.weight.sum(),
        origin=np.array(pool.sources, dtype=object)[pool.source[mixture.candidate]],
        generation=np.full(len(rows), setup.table.next_generation, np.int32),
        row_id=[f"synthetic-{i}" for i in number],
    )
    return frame.iloc[np.argsort(number, kind="stable")].reset_index(drop=True)


def _secret(setup: Setup) -> int:
    """Return what draws the order: the same for the same table, and known to nobody who has not all of it.

    Seed and data hash may be told to anyone: with these as the key the order could be undone.
    """
    import pandas as pd

    rows = pd.util.hash_pandas_object(setup.table.plain, index=False).to_numpy().tobytes()
    target = np.ascontiguousarray(setup.table.y).tobytes()
    return int.from_bytes(hashlib.sha256(b"order of rows that leave" + rows + target + b"%d" % setup.seed).digest())


def attacked(setup: Setup, frame: pd.DataFrame, own: np.ndarray, held: np.ndarray) -> PrivacyReport:
    """Attack rows as they would leave, in plain form: those that they were learned from, and those held out."""
    import pandas as pd

    table = setup.table
    real = table.plain.assign(**{table.target: _target(table, table.frame)})
    made = pd.DataFrame({c.name: to_plain(frame[c.name], c.kind) for c in table.features})
    made[table.target] = _target(table, frame)
    words = table.categorical if table.task == "regression" else (*table.categorical, table.target)
    groups = None if setup.groups is None else (setup.groups[own], setup.groups[held])
    return privacy_figures(
        made, real.iloc[own], real.iloc[held], target=table.target, bounds=setup.recipe.integrity.privacy,
        categorical=words, groups=groups, seed=setup.seed,
    )  # fmt: skip


def _target(table: Table, frame: pd.DataFrame) -> pd.Series:
    return to_plain(frame[table.target], "numerical" if table.task == "regression" else "categorical")


def _notes(setup: Setup, selected: bool) -> list[str]:
    """Say what a reader must know beside the figures."""
    notes = []
    if setup.table.provenance.origin == UNKNOWN:
        notes.append(UNKNOWN_DEPTH)
    if not selected:
        notes.append("the search selected no synthetic rows: these are of the best plan that has some")
    if setup.recipe.data.time is not None:
        notes.append("the holdout is later than the rows learned from: whatever has changed since looks like a leak")
    if setup.table.whole is not None:
        notes.append(
            f"made from the {len(setup.table)} of {setup.table.total} rows that the run works with (data.budget)"
        )
    return notes


def _write(frame: pd.DataFrame, setup: Setup, directory: RunDirectory) -> None:
    import pyarrow.parquet as pq

    with atomic(directory.synthetic) as part:
        pq.write_table(_typed_like(_schema(directory), frame), part)
    if setup.recipe.output.format == "csv":
        with atomic(directory.synthetic_csv) as part:
            frame.to_csv(part, index=False)


def _schema(directory: RunDirectory) -> Any:
    """Return the types of the dataset, which was written before; of one in several files, those of the first."""
    import pyarrow.parquet as pq

    data = directory.data
    return pq.read_schema(min(data.glob("part-*.parquet")) if data.is_dir() else data)


def _typed_like(schema: Any, frame: pd.DataFrame) -> Any:
    """Return rows in the types of the dataset, but where these would cut numbers: real targets may be whole."""
    import pyarrow as pa

    own = pa.Table.from_pandas(frame, preserve_index=False).schema
    fields = []
    for field in schema:
        whole = pa.types.is_integer(field.type) and pa.types.is_floating(own.field(field.name).type)
        cut = whole and bool((frame[field.name].dropna() % 1 != 0).any())
        fields.append(own.field(field.name) if cut else field.with_nullable(True))
    # What is noted in the dataset is about the run and its real rows; what pandas notes of these rows may leave.
    noted = own.metadata if b"pandas" in (schema.metadata or {}) else None
    return synthetic_table(frame, pa.schema(fields, metadata=noted))
