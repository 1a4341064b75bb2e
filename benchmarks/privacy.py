"""What attacks find in synthetic rows: ``python -m benchmarks.privacy --data DIR``.

3,000 rows of adult: each synthesizer learns from three quarters and makes four rows for each of them; the last quarter
are the controls. Beside them stand a test double that memorises (rows that it was given, with a little noise), two that
do so in 10 and 2 % of their rows, the others being real rows that nobody has learned from, such rows alone, and such
rows less those that are near rows that were learned from.
``independent`` draws tables whose distribution is known, and counts how often the gate refuses rows that cannot leak.
"""

from __future__ import annotations

import argparse
import functools

import numpy as np
import pandas as pd

from benchmarks.common import Case, Figure, main
from benchmarks.tables import table_source
from curator.privacy import PrivacyReport, privacy_figures
from curator.privacy.figures import COPIES
from curator.privacy.membership import ATTACKS
from curator.recipe import PrivacyBounds
from curator.space import HIGHEST
from curator.synthesize import TARGET, ClassSampler, make_synthesizer
from curator.table import DistanceRows, NearestRows, to_plain

ROWS, RATIO = 3000, 4
NETWORKS = ("tvae", "ctgan", "copula_gan")
SOURCES = ("gaussian_copula", *NETWORKS, "neighbours", "smote")
# In standard deviations of a column.
NOISE = 0.05
# Where the search's range of filters.novelty ends.
LEAST_NOVELTY = HIGHEST["novelty"]
REPETITIONS = 100
NO_LEAK = PrivacyBounds(auc=0.5, tpr_at_1pct_fpr=0.01, copies=0, attribute=0)


def _plain(given: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Return all rows of adult, shuffled, in plain form; the first 3,000 are worked with."""
    frame, target = table_source("adult", given.data).read()
    frame = frame.rename(columns={target: TARGET}).sample(frac=1, random_state=0).reset_index(drop=True)
    words = tuple(str(c) for c in frame if frame[c].dtype == object)
    plain = pd.DataFrame({c: to_plain(frame[c], "categorical" if c in words else "numerical") for c in frame})
    rows = 1000 if given.quick else ROWS
    return plain[:rows], plain[rows:], words


def _attack(made: pd.DataFrame, rows: pd.DataFrame) -> PrivacyReport:
    own = len(rows) * 3 // 4
    return privacy_figures(made, rows[:own], rows[own:], target=TARGET)


def _synthesizer(name: str, given: argparse.Namespace) -> list[Figure]:
    rows, _, words = _plain(given)
    known = rows[: len(rows) * 3 // 4].reset_index(drop=True)
    synthesizer = make_synthesizer(name, {"epochs": 20} if given.quick and name in NETWORKS else {})
    synthesizer.fit(known, categorical=words, seed=0)
    wanted = RATIO * len(known)
    if name == "smote" and isinstance(synthesizer, ClassSampler):
        made = synthesizer.sample_classes({str(k): RATIO * int(n) for k, n in known[TARGET].value_counts().items()},
                                          seed=1)  # fmt: skip
    else:
        made = synthesizer.sample(wanted, seed=1)
    return _figures(name, _attack(made, rows))


def _double(name: str, share: float, given: argparse.Namespace) -> list[Figure]:
    """Attack real rows that nobody has learned from, a share of which is replaced by noisy copies of members."""
    rows, others, _ = _plain(given)
    known, rng = rows[: len(rows) * 3 // 4], np.random.default_rng(0)
    made = others[: RATIO * len(known)].reset_index(drop=True)
    copies = known.iloc[rng.integers(len(known), size=round(share * len(made)))].reset_index(drop=True)
    for column in copies.select_dtypes(float):
        copies[column] += rng.normal(scale=NOISE * float(known[column].std()), size=len(copies))
    report = _attack(pd.concat([copies, made[len(copies) :]], ignore_index=True), rows)
    # What is left within the bounds is no miss: so few copies among rows as good as real ones are.
    return _held(name, report, leaks=share > 0, target=1 if share in {0.0, 1.0} else None)


def _repelling(given: argparse.Namespace) -> list[Figure]:
    """Attack real rows that nobody has learned from, less those that the filter by novelty finds near to members."""
    rows, others, words = _plain(given)
    known = rows[: len(rows) * 3 // 4]
    made = others[: RATIO * len(known)].reset_index(drop=True)
    encoder = DistanceRows(words).fit(known)
    points = NearestRows(encoder.transform(known), queries=len(made))
    distance, which = points.search(encoder.transform(made), 1)
    own = points.own(1)[0][which[:, 0], 0]
    total = distance[:, 0] + own
    novelty = np.divide(distance[:, 0], total, out=np.zeros(len(total)), where=total > 0)
    return _held("repelling", _attack(made[novelty >= LEAST_NOVELTY], rows), leaks=True, target=1)


def _held(name: str, report: PrivacyReport, *, leaks: bool, target: float | None) -> list[Figure]:
    what, held = ("file not written (1: so)", report.verdict != "passed") if leaks else (
        "not refused (1: so)", report.verdict != "refused")  # fmt: skip
    return [*_figures(name, report), Figure(name, what, float(held), "", target, report.verdict, least=True)]


def _figures(case: str, report: PrivacyReport) -> list[Figure]:
    by = {(f.name, f.attack, f.rows): f for f in report.figures}
    out = []
    for name, rows, what in (
        ("auc", "all", "AUC of membership"), ("tpr", "all", "members found at 1 % false positives"),
        ("auc", "tail", "AUC of membership, most isolated 5 %"),
        ("auc_absent", "all", "AUC of membership, from absence nearby"),
        ("tpr_absent", "all", "members found at 1 % false positives, from absence nearby"),
        ("auc_absent", "tail", "AUC of membership, from absence nearby, most isolated 5 %"),
    ):  # fmt: skip
        every = [f for f in by.values() if (f.name, f.rows) == (name, rows) and f.value is not None]
        both = [f for f in every if f.attack in ATTACKS]
        if both:
            worst = max(both, key=lambda f: f.value or 0.0)
            note = "; ".join(f"{f.attack} {f.value:.3f} ({f.low:.3f} to {f.high:.3f}, {f.outcome})" for f in both)
            out.append(Figure(case, what, worst.value or 0.0, "", None, note))
    for name, what in (
        ("auc", "AUC of membership, in parts of a row"),
        ("auc_absent", "AUC of membership, from absence nearby, in parts of a row"),
        ("copies", "exact copies, in parts of a row"),
    ):
        parts = [f for f in by.values() if f.name == name and f.attack not in {*ATTACKS, COPIES}]
        parts = [f for f in parts if f.value is not None]
        if parts:
            note = "; ".join(f"{f.attack} {f.value:.3f} ({f.outcome})" for f in parts)
            out.append(Figure(case, what, max(f.value or 0.0 for f in parts), "", None, note))
    for name, what in (("copies", "exact copies of unique rows, beyond chance"), ("near_copies", "near copies")):
        f = by[name, COPIES, "all"]
        shares = f"members {f.member_rate:.4f}, holdout {f.control_rate:.4f}, {f.outcome}"
        out.append(Figure(case, what, f.value or 0.0, "", None, shares))
    risks = [f for f in report.figures if f.name == "attribute" and f.value is not None]
    if risks:
        worst = max(risks, key=lambda f: f.value or 0.0)
        note = f"{worst.attack}: {worst.low:.3f} to {worst.high:.3f}, {worst.outcome}; {report.verdict}"
        out.append(Figure(case, "attribute risk, worst column", worst.value or 0.0, "", None, note))
    return out


def _independent(given: argparse.Namespace) -> list[Figure]:
    """Count refusals where synthetic rows are drawn from the distribution itself, so that nothing can leak."""
    strict = [_verdict_on_draws(300, seed, NO_LEAK) for seed in range(30 if given.quick else 2 * REPETITIONS)]
    note = f"{len(strict)} tables; bounds are what no leak at all gives: AUC .5, 1 % found, no risk"
    share = strict.count("refused") / len(strict)
    found = [Figure("independent", "refused by the strictest bounds, 300 controls", share, "", 0.05, note)]
    for held in (300, 600):
        verdicts = [_verdict_on_draws(held, seed) for seed in range(30 if given.quick else REPETITIONS)]
        shares = {v: verdicts.count(v) / len(verdicts) for v in ("undecided", "refused")}
        note = f"{len(verdicts)} tables, three times as many rows learned from, four times these synthetic"
        found += [
            Figure("independent", f"refused, though nothing can leak, {held} controls", shares["refused"], "", 0.05,
                   note),
            Figure("independent", f"undecided, {held} controls", shares["undecided"], "", None, note),
        ]  # fmt: skip
    return found


def _verdict_on_draws(held: int, seed: int, bounds: PrivacyBounds | None = None) -> str:
    rng = np.random.default_rng(seed)
    own = 3 * held
    x = rng.normal(size=(5 * own + held, 4))
    frame = pd.DataFrame(x, columns=list("abcd")).round(2)
    frame["word"] = rng.choice(list("uvwxyz"), len(frame), p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    frame["y"] = np.where(x.sum(axis=1) + rng.normal(size=len(frame)) > 0, "yes", "no")
    synthetic, members, controls = frame[own + held :], frame[:own], frame[own : own + held]
    return privacy_figures(synthetic, members, controls, target="y", bounds=bounds, seed=seed).verdict


CASES: dict[str, Case] = {
    **{name: functools.partial(_synthesizer, name) for name in SOURCES},
    "memorising": functools.partial(_double, "memorising", 1.0),
    "ten_percent": functools.partial(_double, "ten_percent", 0.1),
    "two_percent": functools.partial(_double, "two_percent", 0.02),
    "strangers": functools.partial(_double, "strangers", 0.0),
    "repelling": _repelling,
    "independent": _independent,
}

if __name__ == "__main__":
    main("privacy", CASES)
