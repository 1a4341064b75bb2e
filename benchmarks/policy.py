"""What the certified policy lets through, where the truth is known: ``python -m benchmarks.policy``.

A search among many mixes that are all worth the same gain is simulated row by row, on folds and on a holdout. The rule
of the package (holdout and folds together show no harm beyond the tolerance, one-sided at 5 %) stands beside one that
asks them for a gain, beside the folds alone, and beside the policy ``best``. Plans are chosen on the folds here, which
flatters them; the anchor that runs usually take is not. Gains are in units of a loss whose paired differences have a
standard deviation of 0.5 between rows; the tolerance is 0.01.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import Figure, close, line, write_docs
from curator.certify import JOINED_LEVEL
from curator.evaluate import joined, judge, nadeau_bengio, standard_error
from curator.records import Interval

SPREAD, SHARED, TRAINING, FOLDS = 0.5, 0.8, 0.01, 5
MIXES, REPETITIONS, TOLERANCE = 60, 400, 0.01
GAINS = (-0.02, -0.01, 0.0, 0.02, 0.04, 0.08)
RULES = ("package", "a gain shown", "folds alone show one", "policy best")


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
        folds, n_train, n_valid = _search(gain, n, rng)
        if folds.mean() <= standard_error(folds.tolist(), FOLDS):
            continue  # real rows alone cannot be told from it, and are taken
        rows = gain + rng.normal(0, SPREAD, n // 4)
        reach = 1.96 * rows.std(ddof=1) / len(rows) ** 0.5
        holdout = Interval(float(rows.mean()), float(rows.mean() - reach), float(rows.mean() + reach), len(rows))
        interval = nadeau_bengio(folds.tolist(), n_train, n_valid)
        for rule, emits in _decisions(holdout, interval, n_train, n_valid).items():
            counts[rule] += emits
    return {rule: count / REPETITIONS for rule, count in counts.items()}


def _decisions(holdout: Interval, folds: Interval, n_train: int, n_valid: int) -> dict[str, bool]:
    verdict = judge(holdout, TOLERANCE)
    weights = (holdout.n, n_valid / (1 / folds.n + n_valid / n_train))
    both = joined(holdout, folds, weights, JOINED_LEVEL)
    leans = verdict != "worse" and both.mean > 0
    if verdict != "undecided":
        return {**dict.fromkeys(RULES, verdict != "worse"), "policy best": leans}
    return dict(zip(RULES, (both.low > -TOLERANCE, both.low > 0, folds.low > 0, leans), strict=True))


def _search(gain: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """Return the fold differences of the mix that looks best, and the rows of a fold."""
    development = n - n // 4
    rounds = 4 if development < 400 else 2 if development < 800 else 1
    n_valid = development // FOLDS
    rows = rng.normal(0, SPREAD * SHARED**0.5, development)
    own = gain + rows + rng.normal(0, SPREAD * (1 - SHARED) ** 0.5, (MIXES, development))
    parts = []
    for _ in range(rounds):
        order = rng.permutation(development)[: FOLDS * n_valid]
        means = own[:, order].reshape(MIXES, FOLDS, n_valid).mean(axis=2)
        parts.append(means + rng.normal(0, TRAINING, (MIXES, FOLDS)))
    folds = np.concatenate(parts, axis=1)
    best: np.ndarray = folds[folds.mean(axis=1).argmax()]
    return best, development - n_valid, n_valid


if __name__ == "__main__":
    main()
