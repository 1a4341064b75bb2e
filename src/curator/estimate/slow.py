"""What makes a run slow and could be otherwise: where it is, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from curator.estimate.process import NETWORKS
from curator.estimate.words import duration
from curator.setup import Setup

# Categories of one column, rows for a network, and seconds of a stage beyond which it is worth a sentence.
MANY_CATEGORIES, MANY_ROWS, LONG = 100, 100_000, 3600.0


def slow_spots(setup: Setup, seconds: Mapping[str, float]) -> list[str]:
    """Return a sentence for whatever makes a run slow and could be otherwise."""
    table, found = setup.table, []
    networks = [s for s in setup.sources if s.synthesizer in NETWORKS]
    names = ", ".join(s.name for s in networks)
    for column in table.categorical if networks else ():
        count = int(table.plain[column].nunique())
        if count > MANY_CATEGORIES:
            found.append(
                f"column {column!r} has {count} categories, and the networks of {names} get an input for each, which "
                f"makes an epoch several times as long: list the column in data.drop, merge its rare values, or leave "
                f"{names} out"
            )
    for source in setup.sources:
        given = source.params.get("numerical_distributions")
        marginals = [source.params.get("default_distribution"), *(given.values() if isinstance(given, Mapping) else ())]
        if "gaussian_kde" in marginals:
            found.append(
                f"source {source.name!r} has gaussian_kde marginals, from which sampling takes about 100 times as long "
                "as from others: take beta, gamma, norm, truncnorm or uniform"
            )
    fewer = f"lower data.budget (the run works with {len(table):,} rows)"
    if len(table) > MANY_ROWS:
        found.extend(
            f"source {s.name!r} trains a network on {len(table):,} rows, again in every fold: {fewer}, or lower its "
            "epochs"
            for s in networks
        )
    if seconds.get("search", 0.0) > LONG:
        trials = setup.recipe.search.trials
        found.append(
            f"the search takes about {duration(seconds['search'])}: lower search.trials (now {trials}) or "
            f"task.repeats, or {fewer}"
        )
    if seconds.get("pools", 0.0) > LONG:
        advice = f"lower the epochs of {names}, or {fewer}" if networks else fewer
        found.append(f"making the pools takes about {duration(seconds['pools'])}: {advice}")
    return found
