"""Emission: the curated dataset, a ledger that explains every candidate, and synthetic rows alone where asked for."""

from __future__ import annotations

from typing import Any

from curator.emit.alone import emit_alone
from curator.emit.gates import broken_gates
from curator.emit.parts import check_types, emit_parts
from curator.emit.rarity import Rarity, further_rows
from curator.emit.single import emit_single
from curator.parallel import Workers
from curator.pools import Pools
from curator.progress import Progress
from curator.records import EarlierVerdict, MixPlan
from curator.rundir import RunDirectory
from curator.setup import Setup

__all__ = ["Rarity", "broken_gates", "check_types", "emit", "emit_alone", "further_rows"]


def emit(
    setup: Setup,
    plan: MixPlan,
    *,
    mixed: bool,
    pools: Pools,
    directory: RunDirectory,
    workers: Workers,
    progress: Progress,
    earlier: EarlierVerdict | None = None,
) -> dict[str, Any]:
    """Write the curated dataset and the ledger; return the composition.

    A table of which the run works with a part is emitted whole, in files of many rows each.

    Parameters
    ----------
    plan : MixPlan
        The selected plan.
    mixed : bool
        Whether the mix is emitted, or the real rows alone.
    earlier : EarlierVerdict, optional
        What becomes of the candidates of earlier outputs; of a table that is emitted in parts, none is kept.
    """
    if setup.table.whole is not None:
        return emit_parts(setup, setup.table.whole, plan, mixed, pools, directory, workers, progress, earlier)
    # Where no mix is emitted, the ledger speaks of the candidates that were certified.
    fold = setup.splits.emission if mixed else setup.splits.certification
    return emit_single(setup, plan, pools.task(fold), mixed=mixed, directory=directory, earlier=earlier)
