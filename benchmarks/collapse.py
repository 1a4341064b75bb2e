"""What becomes of tables that feed on their own output: ``python -m benchmarks.collapse --data DIR``.

- `theory`: one normal distribution and fifty categories, refitted to their own samples, beside what theory gives.
- `adult`, `adult_tvae`, `bank_full`, `online_shoppers`, `page_blocks`, `credit_default`: up to 3,000 real rows over ten
  generations, judged by up to 8,000 unseen ones.
- `alarms`: audits of real rows that nothing was made from, which must be sound, and of the generations of `adult`.
- `monthly`: ten rounds in which new real rows arrive, last month's curated dataset is fed back, and a column drifts.

Simulations are kept in ``--out`` and go on where they were.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import Figure, main
from benchmarks.tables import table_source
from curator.collapse.audit import audit
from curator.collapse.kept import read_generation
from curator.collapse.policies import NAIVE, Policy, generations
from curator.collapse.simulate import Collapse, collapse
from curator.curate import curate, read_recipe
from curator.estimators import fit, make_estimator
from curator.evaluate import find_metric
from curator.predictions import predict
from curator.prepare import prepare
from curator.recipe import EstimatorSpec
from curator.run import Run
from curator.synthesize import TARGET
from curator.table import OrdinalRows, to_plain

OTHERS = ("bank_full", "online_shoppers", "page_blocks", "credit_default")
ROWS, UNSEEN, GENERATIONS = 3000, 8000, 10
# What simulations of others give: medians by generation.
VARIANCE = {10: 0.87, 50: 0.61, 100: 0.38}
ALIVE = {10: 0.59, 50: 0.25}


class _Normal:
    """A normal distribution by its mean and variance."""

    notes = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:  # noqa: ARG002  # protocol
        values = rows[TARGET].to_numpy()
        self._mean, self._spread = values.mean(), values.std(ddof=1)

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        return pd.DataFrame({TARGET: np.random.default_rng(seed).normal(self._mean, self._spread, n)})


class _Shares:
    """Categories, each as likely as its share of the rows."""

    notes = ()

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:  # noqa: ARG002  # protocol
        self._values, counts = np.unique(rows[TARGET].to_numpy(int), return_counts=True)
        self._shares = counts / counts.sum()

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        return pd.DataFrame({TARGET: np.random.default_rng(seed).choice(self._values, n, p=self._shares)})


def theory(given: argparse.Namespace) -> list[Figure]:
    """Compare medians of many chains with the known ones."""
    chains = 100 if given.quick else 800
    figures = []
    replaced = np.median([_variances("replace", s, 100) for s in range(chains)], axis=0)
    for g, known in VARIANCE.items():
        note = f"known: {known}"
        figures.append(Figure("theory", f"variance, replace, generation {g}: distance", abs(replaced[g] - known), "",
                              0.05, f"{note}; measured {replaced[g]:.3f}"))  # fmt: skip
    kept = np.median([_variances("accumulate", s, 100) for s in range(max(20, chains // 8))], axis=0)
    least = float(kept[[10, 50, 100]].min())
    figures.append(Figure("theory", "variance, accumulate, least of 10, 50, 100", least, "", 0.97, least=True))
    lost = np.median([_alive("replace", s, 50) for s in range(max(20, chains // 8))], axis=0)
    for g, known in ALIVE.items():
        share = lost[g] / lost[0]
        figures.append(Figure("theory", f"categories, replace, generation {g}: distance", abs(share - known), "", 0.05,
                              f"known: {known}; measured {share:.3f}"))  # fmt: skip
    whole = np.median([_alive("accumulate", s, 50) for s in range(10)], axis=0)
    figures.append(Figure("theory", "categories, accumulate, generation 50", float(whole[50] / whole[0]), "", 1.0,
                          least=True))  # fmt: skip
    return figures


def _variances(policy: Policy, seed: int, count: int) -> list[float]:
    rows = pd.DataFrame({TARGET: np.random.default_rng([seed, 1]).normal(size=100)})
    found = [g.rows[TARGET].var(ddof=1) for g in generations(policy, rows, _Normal, count, seed=seed)]
    return [v / found[0] for v in found]


def _alive(policy: Policy, seed: int, count: int) -> list[int]:
    shares = 1 / np.arange(1, 51)
    drawn = np.random.default_rng([seed, 2]).choice(50, 500, p=shares / shares.sum())
    rows = pd.DataFrame({TARGET: drawn})
    return [g.rows[TARGET].nunique() for g in generations(policy, rows, _Shares, count, seed=seed)]


def adult(given: argparse.Namespace) -> list[Figure]:
    """Simulate adult with a copula, under every policy."""
    return _figures("adult", _simulated("adult", given), replaced=0.2)


def adult_tvae(given: argparse.Namespace) -> list[Figure]:
    """Simulate adult with a variational autoencoder; beside curated rows, under two of the naive policies."""
    policies = ("replace", "accumulate", "curated")
    return _figures("adult_tvae", _simulated("adult", given, ("tvae",), policies, "tvae"), replaced=0.2)


def with_a_copula(name: str, given: argparse.Namespace) -> list[Figure]:
    """Simulate a further table with a copula, under every policy."""
    return _figures(name, _simulated(name, given))


def _drawn(name: str, given: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    frame, target = table_source(name, given.data).read()
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    counts = frame[target].value_counts()
    frame = frame[frame[target].isin(counts[counts >= 25].index)].reset_index(drop=True)
    n = min(800 if given.quick else ROWS, len(frame) // 2)
    return frame.iloc[:n].reset_index(drop=True), frame.iloc[n : n + UNSEEN].reset_index(drop=True), target


def _simulated(
    name: str,
    given: argparse.Namespace,
    sources: Sequence[str] = ("gaussian_copula",),
    policies: Sequence[str] = (*NAIVE, "curated"),
    label: str = "",
) -> Collapse:
    own, unseen, target = _drawn(name, given)
    # The naive policies refit what is named here; curated rows also come from between real ones, and keep the tails as
    # docs/collapse.md advises for datasets that are fed back.
    recipe = {
        "name": name, "data": {"target": target}, "synthesizers": [*sources, "neighbours"],
        "task": {"repeats": 1}, "integrity": {"tail_mass": 0.95},
    }  # fmt: skip
    place = given.out / f"collapse-{name}{'-' if label else ''}{label}{'-quick' if given.quick else ''}"
    return collapse(recipe, own, unseen=unseen, generations=3 if given.quick else GENERATIONS, policies=policies,
                    sources=sources, trials=10, out=place)  # fmt: skip


def _figures(case: str, found: Collapse, *, replaced: float | None = None) -> list[Figure]:
    content = found.content
    start = content["start"]["scores"]["roc_auc"]
    figures = [Figure(case, "ROC-AUC with the real rows", start, "", None)]
    scores = {c["policy"]: [p["scores"]["roc_auc"]["mean"] for p in c["points"]] for c in content["chains"]}
    chains = {c["policy"]: c for c in content["chains"]}
    for policy, own in scores.items():
        shown = ", ".join("-" if v is None else f"{v:.3f}" for v in own)
        lowest = min((v for v in own if v is not None), default=float("nan"))
        if policy == "curated":
            name = "curated: greatest loss of ROC-AUC in any generation"
            figures.append(Figure(case, name, start - lowest, "", 0.005, shown))
            for name, least in (("rare_categories", 1.0), ("tail_mass", 0.95)):
                values = [p["figures"][name]["mean"] for p in chains[policy]["points"]]
                known = [v for v in values if v is not None]
                if known:
                    figures.append(Figure(case, f"curated: least {name}", min(known), "", least, least=True))
        else:
            lost = start - own[-1] if own[-1] is not None else start - 0.5
            target = replaced if policy == "replace" else None
            figures.append(Figure(case, f"{policy}: ROC-AUC lost in {len(own)} generations", lost, "", target,
                                  shown, least=True))  # fmt: skip
    if "curated" in scores and "accumulate" in scores:
        ahead = [a - b for a, b in zip(scores["curated"], scores["accumulate"], strict=True)]
        figures.append(Figure(case, "curated before accumulate, last generation", ahead[-1], "", 0.0,
                              least=True))  # fmt: skip
    return figures


def alarms(given: argparse.Namespace) -> list[Figure]:
    """Audit real rows, which must be sound, and every generation of `replace`, none of which is."""
    frame, target = table_source("adult", given.data).read()
    frame = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    n, many = (600, 5) if given.quick else (900, 50)
    false = []
    for i in range(many):
        rows = np.random.default_rng(i).choice(len(frame), 2 * n, replace=False)
        found = audit(frame.iloc[rows[:n]].reset_index(drop=True), frame.iloc[rows[n:]].reset_index(drop=True),
                      target=target, seed=i)  # fmt: skip
        false.append(not found.holds)
    figures = [Figure("alarms", f"false alarms in {many} audits of {n} real rows", float(np.mean(false)), "", 0.05)]
    simulated, (_, unseen, _) = _simulated("adult", given), _drawn("adult", given)
    real = unseen.iloc[: 2 * n].reset_index(drop=True)
    flagged = []
    for folder in sorted((simulated.path / "generations").glob("replace-gaussian_copula-s0-g*")):
        made = read_generation(folder).rows.rename(columns={TARGET: target})
        flagged.append(not audit(made, real, target=target).holds)
    figures.append(Figure("alarms", f"share of {len(flagged)} generations of replace that are flagged",
                          float(np.mean(flagged)), "", 1.0, least=True))  # fmt: skip
    return figures


def monthly(given: argparse.Namespace) -> list[Figure]:
    """Curate month after month: new rows arrive, the last dataset is fed back, the ages of new rows drift."""
    months = list(_months(given))
    worst, mixed = max(m["worse"] for m in months), sum(m["mix"] for m in months)
    note = ", ".join(f"{m['worse']:+.4f}" for m in months)
    name = f"greatest loss against real rows alone in {len(months)} months"
    figures = [Figure("monthly", name, worst, "", 0.01, note)]
    ratio = float(np.mean([m["ratio"] for m in months]))
    figures.append(Figure("monthly", "mean log loss / real rows alone", ratio, "", None, f"mixes in {mixed} months"))
    same = float(max(m["same"] for m in months))
    figures.append(Figure("monthly", "new rows of all months that count as old ones", same, "", None,
                          "equal in every column"))  # fmt: skip
    return figures


def _months(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    frame, target = table_source("adult", given.data).read()
    frame = frame.sample(frac=1, random_state=2).reset_index(drop=True)
    count, size, judged = (3, 200, 800) if given.quick else (10, 300, 1500)
    place = given.out / f"monthly{'-quick' if given.quick else ''}"
    place.mkdir(parents=True, exist_ok=True)
    last: Run | None = None
    seen: list[pd.DataFrame] = []
    for month in range(count):
        at = month * (size + judged)
        drift = 1.5 * month
        parts = frame.iloc[at : at + size], frame.iloc[at + size : at + size + judged]
        new, judges = (part.assign(age=part["age"] + drift).reset_index(drop=True) for part in parts)
        seen.append(new)
        new.to_csv(place / f"new-{month:02d}.csv", index=False)
        sources = [str(place / f"new-{month:02d}.csv"), *([] if last is None else [str(last.data_path)])]
        recipe = {"name": "monthly", "data": {"source": sources, "target": target}, "task": {"repeats": 1},
                  "search": {"seed": month, "trials": 20}, "output": {"explain": False}}  # fmt: skip
        last = run = curate(recipe, out=place / f"{month:02d}")
        fed = run.data
        real = pd.concat(seen, ignore_index=True)
        kept = fed.loc[fed["origin"] == "real", "row_id"].nunique()
        one, other = (_loss(rows, weight, judges, target, recipe, real) for rows, weight in (
            (fed, fed["sample_weight"].to_numpy(float)), (real, np.ones(len(real)))))  # fmt: skip
        yield {"worse": one - other, "ratio": one / other, "mix": run.results["verdict"]["emitted"] == "mix",
               "same": len(real) - kept}  # fmt: skip


def _loss(
    rows: pd.DataFrame, weight: np.ndarray, judges: pd.DataFrame, target: str, recipe: dict[str, Any],
    real: pd.DataFrame,
) -> float:  # fmt: skip
    """Return the log loss of default gradient boosting on the judges."""
    table = prepare(read_recipe(recipe), real).table
    codes = {label: code for code, label in enumerate(table.classes)}

    def features(part: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({c.name: to_plain(part[c.name], c.kind) for c in table.features})

    def labels(part: pd.DataFrame) -> np.ndarray:
        return to_plain(part[target], "categorical").map(codes).to_numpy(np.int64)

    encoder = OrdinalRows(table.categorical).fit(features(rows))
    estimator = make_estimator(EstimatorSpec(name="hist_gradient_boosting"), table.task)
    alike = None if np.all(weight == weight[0]) else weight
    model = fit(estimator, encoder.transform(features(rows)), labels(rows), alike, seed=0,
                categorical=tuple(encoder.categorical))  # fmt: skip
    prediction = predict(model, encoder.transform(features(judges)), len(codes))
    return find_metric("log_loss")(labels(judges), prediction, np.ones(len(judges)))


if __name__ == "__main__":
    main("collapse", {"theory": theory, "adult": adult, "adult_tvae": adult_tvae,
                      **{name: partial(with_a_copula, name) for name in OTHERS},
                      "alarms": alarms, "monthly": monthly})  # fmt: skip
