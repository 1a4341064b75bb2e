"""What the certified policy lets through, where the truth is known: ``python -m benchmarks.policy``.

A search among many mixes that are all worth the same gain is simulated row by row, on folds and on a holdout. The rule
of the package (holdout and folds together, row by row, show no harm beyond the tolerance, one-sided at 5 %, and the
holdout does not lean to any) stands beside the same with the spread of the folds' means, beside one that asks for a
gain, and beside the policy ``best``. Plans are chosen on the folds here, which flatters them; the anchor that runs
usually take is not. Real rows lose 0.5, of which the tolerance is 1 %; paired differences have a standard deviation of
0.5 between rows.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import Figure, close, line, write_docs
from curator.certify import JOINED_LEVEL
from curator.evaluate import CrossFit, cross_fit_interval, find_metric, joined, judge, nadeau_bengio, standard_error
from curator.records import Interval

SPREAD, SHARED, TRAINING, FOLDS = 0.5, 0.8, 0.01, 5
MIXES, REPETITIONS, LOSS = 60, 400, 0.5
TOLERANCE = find_metric("log_loss").margin(0.01, LOSS)
GAINS = (-0.02, -0.01, 0.0, 0.02, 0.04, 0.08)
RULES = ("package", "by means of folds", "a gain shown", "policy best")


def main() -> None:
    """Print how often each rule emits a mix."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy")
    parser.add_argument("--docs", action="store_true", help="write the figures into docs/benchmarks.md")
    given = parser.parse_args()
    figures = []
    for n in (300, 1000):
        for gain in GAINS:
            shares = emitted(gain, n, np.random.default_rng(0))
            note = "; ".join(f"{rule}: {shares[rule]:.3f}" for rule in RULES[1:])
            # Harm beyond the tolerance that comes through is bounded; a gain that does not is only unused.
            target = 0.1 if gain < -TOLERANCE else None
            figures.append(Figure("policy", f"emitted, {n} rows, all mixes worth {gain:+g}", shares["package"], "",
                                  target, note))  # fmt: skip
    for figure in figures:
        print(line(figure))
    if given.docs:
        write_docs("policy", figures, {"policy": "python -m benchmarks.policy"})
    close(figures)


def emitted(gain: float, n: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the share of runs in which each rule emits a mix, all mixes being worth `gain`."""
    counts = dict.fromkeys(RULES, 0)
    for _ in range(REPETITIONS):
        found, folds = _search(gain, n, rng)
        if folds.mean() <= standard_error(folds.tolist(), FOLDS):
            continue  # real rows alone cannot be told from it, and are taken
        rows = gain + rng.normal(0, SPREAD, n // 4)
        reach = 1.96 * rows.std(ddof=1) / len(rows) ** 0.5
        holdout = Interval(float(rows.mean()), float(rows.mean() - reach), float(rows.mean() + reach), len(rows))
        for rule, emits in _decisions(holdout, found, folds).items():
            counts[rule] += emits
    return {rule: count / REPETITIONS for rule, count in counts.items()}


def _decisions(holdout: Interval, found: CrossFit, folds: np.ndarray) -> dict[str, bool]:
    verdict, weights = judge(holdout, TOLERANCE), (holdout.n, found.worth)
    rows = np.zeros(len(found.rows), dtype=int)
    by_rows = cross_fit_interval(find_metric("mae"), found, np.ones(len(rows)), rows, None, 0)
    by_means = nadeau_bengio(folds.tolist(), found.n_train, found.n_valid)
    both, other = (joined(holdout, part, weights, JOINED_LEVEL) for part in (by_rows, by_means))
    leans = verdict != "worse" and both.mean > 0
    if verdict != "undecided" or holdout.mean <= -TOLERANCE:
        return {**dict.fromkeys(RULES, verdict in {"better", "not_worse"}), "policy best": leans}
    return dict(zip(RULES, (both.low > -TOLERANCE, other.low > -TOLERANCE, both.low > 0, leans), strict=True))


def _search(gain: float, n: int, rng: np.random.Generator) -> tuple[CrossFit, np.ndarray]:
    """Return what the folds say of the mix that looks best, row by row, and the means of the folds."""
    development = n - n // 4
    rounds = 4 if development < 400 else 2 if development < 800 else 1
    n_valid = development // FOLDS
    rows = rng.normal(0, SPREAD * SHARED**0.5, development)
    own = gain + rows + rng.normal(0, SPREAD * (1 - SHARED) ** 0.5, (MIXES, development))
    used = FOLDS * n_valid
    rounds_of_gains = np.full((rounds, MIXES, used), np.nan)
    parts = []
    for r in range(rounds):
        order = rng.permutation(used).reshape(FOLDS, n_valid)
        for fold in order:
            rounds_of_gains[r][:, fold] = own[:, fold] + rng.normal(0, TRAINING, (MIXES, 1))
        parts.append(rounds_of_gains[r][:, order].mean(axis=2))
    folds = np.concatenate(parts, axis=1)
    best = int(folds.mean(axis=1).argmax())
    chosen = rounds_of_gains[:, best]
    found = CrossFit(
        np.arange(used), LOSS + chosen, np.full_like(chosen, LOSS), rounds * FOLDS, development - n_valid, n_valid
    )
    return found, folds[best]


if __name__ == "__main__":
    main()
