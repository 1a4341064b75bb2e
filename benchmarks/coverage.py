"""How often a small holdout is right about a gain: ``python -m benchmarks.coverage --data DIR``.

For each table, n real rows train gradient boosting and four others to compare it with: its mean with a forest, the
forest, a smaller boosting, and boosting that has lost half of the rarest class, as from synthetic rows that thin it
out. Holdouts of n / 3 rows are then drawn again and again from thousands of other rows, whose difference in log loss is
the truth. The package's interval (studentised, with no verdict on thin classes) stands beside the percentile interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from benchmarks.common import Figure, main
from benchmarks.tables import TABLES, table_source
from curator.evaluate import (
    Prediction,
    find_metric,
    gain_errors,
    percentile_interval,
    resampled,
    resampling_weights,
    studentised_interval,
    thin_classes,
)
from curator.evaluate.metrics import log_losses

ROWS, TRUTH, HOLDOUTS, RESAMPLES = (225, 750), 6000, 40, 1000
LOSS = find_metric("log_loss")


def coverage(given: argparse.Namespace) -> list[Figure]:
    """Measure misses on either side and false verdicts, of both intervals."""
    found = pd.DataFrame(row for name in TABLES for row in _of_table(name, given))
    figures = []
    for n in sorted(found["rows"].unique()):
        rows = found[found["rows"] == n]
        # Each table counts alike, however many comparisons it has.
        mean = rows.groupby(["table", "method"]).mean(numeric_only=True).groupby("method").mean()
        worst = rows.groupby(["table", "method"])["false"].mean().groupby("method")
        for what, column, target in (("covered", "covered", 0.9), ("false verdicts", "false", 0.025)):
            value, other = (float(mean[column][method]) for method in ("package", "percentile"))
            parts = [f"percentile: {other:.3f}"]
            if column == "false":
                top = worst.max()
                parts.append(f"worst table: {top['package']:.3f}, percentile: {top['percentile']:.3f}")
            figures.append(Figure("coverage", f"{what}, holdout of {n // 3} rows", value, "", target,
                                  "; ".join(parts), least=column == "covered"))  # fmt: skip
        told, label = mean["told"], f"verdicts better or worse, holdout of {n // 3} rows"
        note = f"percentile: {told['percentile']:.3f}"
        figures.append(Figure("coverage", label, float(told["package"]), "", None, note))
    return figures


def _of_table(name: str, given: argparse.Namespace) -> Iterator[dict[str, float | str]]:
    frame, target = table_source(name, given.data).read()
    y, classes = pd.factorize(frame[target].astype(str), sort=True)
    if pd.api.types.is_numeric_dtype(frame[target]) and len(classes) > 20:
        return
    features = frame.drop(columns=[target])
    texts = features.select_dtypes(exclude="number").columns
    coded = features.assign(**{c: pd.factorize(features[c])[0] for c in texts})
    x = coded.fillna(-9).to_numpy(float)
    for n in ROWS:
        if len(frame) < 2.5 * n:
            continue
        for seed in range(1 if given.quick else 3):
            order = np.random.default_rng(seed).permutation(len(frame))
            yield from _of_rows(name, x, y, order[:n], order[n : n + TRUTH], len(classes), seed)


def _of_rows(
    name: str, x: np.ndarray, y: np.ndarray, own: np.ndarray, rest: np.ndarray, n_classes: int, seed: int
) -> Iterator[dict[str, float | str]]:
    real, *others = _predictions(x, y, own, rest, n_classes)
    y, rng, weight = y[rest], np.random.default_rng(seed), np.ones(len(own) // 3)
    gains = [log_losses(y, real) - log_losses(y, other) for other in others]
    shares = np.bincount(y, minlength=n_classes) / len(y)
    for _ in range(HOLDOUTS):
        counts = np.maximum(np.round(shares * len(weight)), shares > 0).astype(int)
        counts[counts.argmax()] += len(weight) - counts.sum()
        rows = np.concatenate([rng.choice(np.flatnonzero(y == k), c, replace=False) for k, c in enumerate(counts)])
        held = y[rows]
        thin = len(thin_classes(LOSS, held, weight, _of(real, rows), n_classes)) > 0
        (draws,) = resampling_weights(weight, held, None, RESAMPLES, int(rng.integers(2**31)))
        before = resampled(LOSS, held, _of(real, rows), draws)
        for other, gain in zip(others, gains, strict=True):
            truth = float(sum(gain[y == k].mean() * c for k, c in enumerate(counts) if c)) / len(rows)
            parts = (LOSS, held, _of(other, rows), _of(real, rows))
            moved = before - resampled(LOSS, held, _of(other, rows), draws)
            error = float(gain_errors(*parts, weight[None], weight, held)[0])
            studentised = studentised_interval(
                gain[rows].mean(), error, moved, gain_errors(*parts, draws, weight, held), len(rows),
                units=len(rows),
            )  # fmt: skip
            percentile = percentile_interval(gain[rows].mean(), moved, len(rows))
            for method, interval, silent in (("package", studentised, thin), ("percentile", percentile, False)):
                better, worse = interval.low > 0 and not silent, interval.high < 0 and not silent
                yield {
                    "table": name, "rows": len(own), "method": method, "told": float(better or worse),
                    "covered": float(interval.low <= truth <= interval.high),
                    "false": float((better and truth <= 0) or (worse and truth >= 0)),
                }  # fmt: skip


def _of(prediction: Prediction, rows: np.ndarray) -> Prediction:
    assert prediction.chance is not None  # noqa: S101  # these are classifiers
    return Prediction(prediction.chance[rows], prediction.value[rows])


def _predictions(
    x: np.ndarray, y: np.ndarray, own: np.ndarray, rest: np.ndarray, n_classes: int
) -> list[Prediction]:
    counts = np.bincount(y[own], minlength=n_classes)
    rarest = int(np.where(counts > 0, counts, len(own)).argmin())
    kept = np.setdiff1d(own, own[y[own] == rarest][::2])
    models = (
        (HistGradientBoostingClassifier(random_state=0), own),
        (RandomForestClassifier(300, min_samples_leaf=2, random_state=0), own),
        (HistGradientBoostingClassifier(max_iter=30, min_samples_leaf=10, random_state=0), own),
        (HistGradientBoostingClassifier(random_state=0), kept),
    )
    found = []
    for model, rows in models:
        chance = np.zeros((len(rest), n_classes))
        model.fit(x[rows], y[rows])
        chance[:, model.classes_] = model.predict_proba(x[rest])
        # No forest says never of a class that none of its leaves holds.
        chance = np.maximum(chance, 1e-3 if isinstance(model, RandomForestClassifier) else 1e-9)
        found.append(chance / chance.sum(axis=1, keepdims=True))
    found.insert(1, (found[0] + found[1]) / 2)
    return [Prediction(chance, chance.argmax(axis=1)) for chance in found]


if __name__ == "__main__":
    main("coverage", {"coverage": coverage})
