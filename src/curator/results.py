"""What a run says of itself: results.json, the trials table and the manifest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.certify import CURATED, Certification
from curator.evaluate import SMALLEST_CHANCE, nadeau_bengio, reported_metrics, standard_error
from curator.pools import Pools, barren
from curator.records import ArmResult, Trial, shown_decimals
from curator.rundir import FORMAT_VERSION
from curator.score.pool import Pool, load_pool
from curator.search import front
from curator.setup import Setup
from curator.table import UNKNOWN, UNKNOWN_DEPTH, Table

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = (
    "hybrid-curator", "sdv", "ctgan", "rdt", "copulas", "scikit-learn", "imbalanced-learn", "optuna", "pandas", "numpy",
    "scipy", "torch", "pyarrow", "plotly", "lightgbm", "xgboost", "catboost",
)  # fmt: skip

# Of the holdout rows, with some class at a probability of 0; fewer decide no score.
LEAST_IMPOSSIBLE = 0.01


def results(
    setup: Setup,
    ladders: Sequence[Mapping[str, ArmResult]],
    trials: Sequence[Trial],
    selected: Trial,
    near: Sequence[Trial],
    certified: Sequence[Certification],
    composition: Mapping[str, Any],
    pools: Pools,
) -> dict[str, Any]:
    """Return everything that a reader of the run may ask for, as plain data.

    Where the recipe names several estimators, figures are the first one's; ``models`` has the others'.
    """
    certification, ladder = certified[0], ladders[0]
    selected, best = selected.seen_by(0), near[0].seen_by(0)
    table, splits = setup.table, setup.splits
    n_train, n_valid = splits.fold_sizes
    read = {f.key: load_pool(pools.folder(f)) for f in (*splits.folds, splits.certification)}
    return {
        "format": FORMAT_VERSION,
        "name": setup.recipe.name,
        "fingerprint": setup.fingerprint,
        "task": table.task,
        "target": table.target,
        "classes": list(table.classes),
        "features": [c.name for c in table.features],
        "estimator": setup.estimator.label,
        # Those that go with the curated dataset: searched together with its mix where task.tune says so.
        "estimator_params": {
            **dict(setup.estimator.params),
            **(dict(selected.plan.settings) if certification.verdict.emitted == "mix" else {}),
        },
        "reference_params": dict(setup.estimator.params),
        "metric": {"name": setup.metric.name, "greater_is_better": setup.metric.greater_is_better},
        "metrics": [m.name for m in reported_metrics(setup.metrics, table.task)],
        **_further(setup, certified),
        "rows": {"table": table.total, "development": len(splits.development), "holdout": len(splits.holdout)},
        "folds": {"count": len(splits.folds), "repeats": splits.repeats, "train": n_train, "valid": n_valid},
        "holdout_hash": splits.holdout_hash,
        "holdout_digest": _digest_of_truth(table, splits.holdout),
        "data_hash": table.content_hash,
        "policy": setup.recipe.output.policy,
        "verdict": {k: v for k, v in asdict(certification.verdict).items() if k != "slices"},
        "remarks": [*_failures(read.values()), *_remarks(setup, certified, composition)],
        "refit": None if certification.refit is None else asdict(certification.refit),
        "slices": [asdict(s) for s in certification.verdict.slices],
        "selected": {
            "trial": _number(selected), "name": selected.name, "plan": asdict(selected.plan), "delta": selected.delta,
        },
        "best": {
            "trial": _number(best), "name": best.name, "plan": asdict(best.plan), "delta": best.delta,
            "standard_error": standard_error(best.deltas, setup.recipe.task.folds),
        },
        "search": _search(setup, trials, near),
        "arms": _arms(setup, ladder, selected, certification),
        **_calibration(certification, composition),
        "composition": dict(composition),
        "teacher": dict(read[splits.certification.key].teacher_weights),
        "teacher_regions": list(read[splits.certification.key].teacher_regions),
        "nearest_rows": _nearest_rows(read.values()),
        "decisions": list(table.decisions),
        "columns": [asdict(c) for c in table.columns],
        "notes": sorted({f"{s}: {n}" for p in read.values() for s, notes in p.notes.items() for n in notes}),
    }  # fmt: skip


def _digest_of_truth(table: Table, rows: np.ndarray) -> str:
    """Return the SHA-256 of what judges predictions: true values, and how much each counts."""
    true = [table.classes[code] for code in table.y[rows]] if table.classes else table.y[rows].tolist()
    return hashlib.sha256(repr((true, np.asarray(table.weight)[rows].tolist())).encode()).hexdigest()


def _calibration(certification: Certification, composition: Mapping[str, Any]) -> dict[str, Any]:
    """Return calibration with and without the mix, and the shares of classes that the dataset, as emitted, has."""
    known = certification.calibration
    if known is None:
        return {}
    trained = known["prior"]["true"]
    if certification.verdict.emitted == "mix":
        trained = {label: composition["classes"].get(label, {"weight_share": 0.0})["weight_share"] for label in trained}
    return {"calibration": {**known, "prior": {**known["prior"], "trained": trained}}}


def _search(setup: Setup, trials: Sequence[Trial], near: Sequence[Trial]) -> dict[str, Any]:
    """Return how the search went, and which trials are as good as the best, or on the front."""
    return {
        "trials": len(trials),
        "complete": sum(t.state == "complete" for t in trials),
        "pruned": sum(t.state == "pruned" for t in trials),
        "harmful": sum(not t.feasible for t in trials),
        "fits": sum(len(t.scores) for t in trials) * len(setup.estimators),
        "near_best": sorted({t.number for t in near} - {-1}),
        **({"front": _front(setup, trials)} if setup.further else {}),
    }


def _arms(
    setup: Setup, ladder: Mapping[str, ArmResult], selected: Trial, certification: Certification
) -> list[dict[str, Any]]:
    """Return every arm of the ladder, and the selected mix, on folds and holdout."""
    metric, sizes = setup.metric.name, setup.splits.fold_sizes
    mixed = ArmResult(CURATED, selected.plan, {metric: selected.scores}, selected.deltas)
    return [
        {
            "name": arm.name,
            "skipped": arm.skipped or None,
            "plan": None if arm.plan is None else asdict(arm.plan),
            "params": dict(arm.params),
            "folds": {k: nadeau_bengio(v, *sizes) for k, v in arm.scores.items()},
            "folds_delta": nadeau_bengio(arm.deltas, *sizes) if arm.deltas else None,
            "holdout": certification.arms.get(arm.name),
            "holdout_delta": certification.deltas.get(arm.name, {}).get(metric),
        }
        for arm in (*ladder.values(), mixed)
    ]


def _further(setup: Setup, certified: Sequence[Certification]) -> dict[str, Any]:
    """Return what the holdout says of further estimators and metrics, where the recipe names any."""

    def compared(certification: Certification, metric: str) -> dict[str, Any]:
        arms = {name: certification.arms[name][metric] for name in ("real_only", CURATED)}
        return {**arms, "difference": certification.deltas[CURATED][metric]}

    models = [
        {"estimator": e.label, "params": dict(e.params), **compared(c, setup.metric.name), "verdict": c.verdict.name,
         "refuses": c.refuses, "folds": c.verdict.folds, "slices": [asdict(s) for s in c.verdict.slices]}
        for e, c in zip(setup.others, certified[1:], strict=True)
    ]  # fmt: skip
    metrics = [{"metric": m.name, **compared(certified[0], m.name)} for m in setup.further]
    return {**({"models": models} if models else {}), **({"further_metrics": metrics} if metrics else {})}


def _front(setup: Setup, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return the trials without harm to a slice that no other beats in every metric, with `Trial.means` by metric."""
    names = [m.name for m in setup.metrics]
    return [
        {"trial": t.number, "gains": dict(zip(names, t.means, strict=True))}
        for t in front([t for t in trials if t.feasible])
    ]


def _nearest_rows(pools: Iterable[Pool]) -> dict[str, Any]:
    """Return how candidates' nearest real rows were found, and the least share that was found right."""
    facts = [f for pool in pools for f in pool.neighbours]
    return {
        "methods": sorted({f["method"] for f in facts}),
        "recall": min((f["recall"] for f in facts), default=1.0),
        "rows": max((f["rows"] for f in facts), default=0),
    }


def _number(trial: Trial) -> int | None:
    """Return the trial's number; None for an arm of the ladder that was no trial."""
    return trial.number if trial.number >= 0 else None


def _failures(pools: Iterable[Pool]) -> list[str]:
    """Name the sources that have given no candidate at all, and why."""
    every = list(pools)
    why = {name: next((n for p in every for n in p.notes.get(name, ())), "no candidates") for name in barren(every)}
    return [f"the source {name} {reason}; the run went on without it" for name, reason in sorted(why.items())]


def _remarks(setup: Setup, certified: Sequence[Certification], composition: Mapping[str, Any]) -> list[str]:
    """Say what a reader must know beside the verdict: a gain that tuning, or a threshold, would give as well."""
    remarks = []
    if setup.table.provenance.origin == UNKNOWN:
        remarks.append(UNKNOWN_DEPTH)
    if setup.table.whole is not None:
        remarks.append(
            f"searched and certified on {len(setup.table)} of {setup.table.total} rows: the verdict is about training "
            "on that many, and with more real rows synthetic ones usually help less; data.budget says how many are used"
        )
    remarks += [f"left out, for it breaks a gate: {sentence}" for sentence in composition["broken_gates"][:5]]
    remarks += [
        f"the plan keeps this gate where it was certified, and the dataset does not: {sentence}"
        for sentence in composition.get("broken_as_emitted", [])[:5]
    ]
    if not setup.others:
        return remarks + _of_one(setup, certified[0], "consider task.tune: true, which tunes on both sides")
    for one, certification in zip(setup.each, certified, strict=True):
        told = _of_one(one, certification, "consider other params for it")
        remarks += [f"{one.estimator.label}: {text}" for text in told]
    return remarks


def _of_one(setup: Setup, certification: Certification, advice: str) -> list[str]:
    """Return the remarks about one estimator; `advice` is for one that does better with other settings."""
    metric, remarks = setup.metric, []
    thin = certification.thin
    if thin:
        what = "rows" if setup.groups is None else "rows, or groups with rows,"
        few = f"the holdout has too few {what} of {', '.join(map(repr, thin[:5]))}"
        why = "where most of the loss lies" if metric.row_losses is not None else f"which counts alike in {metric.name}"
        remarks.append(f"{few}, {why}: by itself it can tell nothing, in either direction")
    impossible = (certification.calibration or {}).get("impossible", {}).get("real_only", 0.0)
    if metric.name == "log_loss" and impossible >= LEAST_IMPOSSIBLE:
        sure = f"{setup.estimator.label} gives some class a probability of 0 on {impossible:.0%} of the holdout rows"
        cost = f"one that is of that class costs a log_loss of {-math.log(SMALLEST_CHANCE):.0f}"
        remarks.append(f"{sure}: {cost}, and where the holdout happens to hold none, or a few too many, scores and "
                       "intervals are led astray; metric: brier hangs on no single row")  # fmt: skip
    verdict = certification.verdict
    if verdict.leans and not verdict.shown and verdict.emitted == "real_only":
        lean = f"holdout and folds together lean to the mix ({verdict.joined.mean:+.{shown_decimals(verdict.margin)}f})"
        remarks.append(f"{lean}, without showing that it does no harm; output.policy: best hands it out all the same")
    if verdict.emitted == "mix":
        remarks += _trade_offs(setup, certification)
        policy = setup.recipe.output.policy
        if policy != "certified" and not verdict.shown:
            remarks.append(f"output.policy: {policy} hands the mix out; certified would leave the real rows alone")
    others = {
        "real_tuned": "tuning the estimator on the real rows alone",
        "real_tuned_threshold": "moving the decision threshold on the real rows alone",
    }
    emitted = certification.arms[CURATED if verdict.emitted == "mix" else "real_only"][metric.name].mean
    for arm, what in others.items():
        if arm not in certification.arms:
            continue
        other = certification.arms[arm][metric.name].mean
        if metric.gain(other, emitted) > 0:
            text = f"{what} does better on the holdout ({metric.name} {other:.{shown_decimals(other)}f})"
            remarks.append(f"{text}; {advice}" if arm == "real_tuned" else text)
    return remarks


def _trade_offs(setup: Setup, certification: Certification) -> list[str]:
    """Name the metrics, beside the recipe's own, by which the holdout shows that the mix does worse.

    A mix that is right about how likely things are may rank them worse. Nothing hangs on it: what the recipe asks for
    decides.
    """
    own = {m.name for m in setup.metrics}
    gains = {name: gain for name, gain in certification.deltas[CURATED].items() if name not in own}
    found = []
    for name, gain in gains.items():
        if gain.high < 0:
            before, after = (certification.arms[arm][name].mean for arm in ("real_only", CURATED))
            places = shown_decimals(before)
            ends = f"95 % interval {gain.low:+.{places}f} to {gain.high:+.{places}f}"
            found.append(f"by {name} the mix does worse on the holdout: {before:.{places}f} becomes {after:.{places}f} "
                         f"(gain {gain.mean:+.{places}f}, {ends})")  # fmt: skip
    return found


def trials_frame(trials: Sequence[Trial], setup: Setup) -> pd.DataFrame:
    """Return one row a trial: number, name, state, delta, seconds, the plan, the parameters, and a column a fold.

    ``harms`` names the slices for whose sake it was no candidate.

    Where the recipe names several metrics or estimators, also a column ``gain.METRIC.ESTIMATOR`` each.
    """
    import pandas as pd

    rows = []
    for t in trials:
        row: dict[str, Any] = {
            "number": t.number, "name": t.name, "state": t.state, "delta": t.delta, "seconds": t.seconds,
            "ratio": t.plan.ratio, "mass": t.plan.mass, "labels": t.plan.labels,
            "synthetic_weight": t.plan.synthetic_weight, "class_tilt": t.plan.class_tilt,
            "rare_exponent": t.plan.rare_exponent,
            "effective_beta": t.plan.effective_beta, "hardness": t.plan.hardness, "importance": t.plan.importance,
            "harms": ", ".join(s.name for s, v in zip(setup.guarded, t.harm, strict=False) if v > 0),
            **{f"ratio.{s}": r for s, r in t.plan.ratios},
            **{f"threshold.{s}": v for s, v in t.plan.thresholds},
            **{f"param.{k}": v for k, v in t.params.items()},
            **{f"score.{k}": v for k, v in enumerate(t.scores)},
            **{f"delta.{k}": v for k, v in enumerate(t.deltas)},
            **{
                f"gain.{m.name}.{e.label}": float(np.mean(folds))
                for m, by_estimator in zip(setup.metrics, t.gains, strict=False)
                for e, folds in zip(setup.estimators, by_estimator, strict=True)
            },
        }  # fmt: skip
        rows.append(row)
    frame = pd.DataFrame(rows)
    # A setting may be a number in one trial and a word in another (max_features), which no column of a file can be.
    for name in [c for c in frame.columns if str(c).startswith("param.") and frame[c].dtype == object]:
        known = frame[name].notna()
        if len({isinstance(v, str) for v in frame.loc[known, name]}) > 1:
            frame[name] = frame[name].where(~known, frame[name].astype(str))
    return frame


def manifest(setup: Setup, seconds: Mapping[str, float], finished: datetime) -> dict[str, Any]:
    """Return the manifest, less the hashes of the files, which are added when the run is finished."""
    import hashlib
    import platform

    return {
        "format": FORMAT_VERSION,
        "curator": _version("hybrid-curator"),
        "name": setup.recipe.name,
        "fingerprint": setup.fingerprint,
        "finished": finished.isoformat(timespec="seconds"),
        "seed": setup.seed,
        "data_hash": setup.table.content_hash,
        "real_rows": setup.table.total,
        "real_digest": setup.real_digest,
        "lineage": setup.lineage,
        "splits": {
            "holdout": setup.splits.holdout_hash,
            **{f.key: hashlib.sha256(f.valid.astype("<i8").tobytes()).hexdigest() for f in setup.splits.folds},
        },
        "python": platform.python_version(),
        "packages": {
            name: {"version": _version(name), "licence": _licence(name)} for name in _PACKAGES if _version(name)
        },
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _licence(package: str) -> str | None:
    about = metadata(package)
    stated = [str(value) for key in ("License-Expression", "License") for value in about.get_all(key) or []]
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    # Some packages put the whole text of the licence there: its first line is its name.
    return next((text.strip().splitlines()[0] for text in [*stated, *classifiers] if text.strip()), None)
