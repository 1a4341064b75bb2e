"""Attribute inference: what the nearest synthetic row tells of a column that an attacker does not know."""

from __future__ import annotations

import numpy as np

from curator.privacy.points import AttackPoints, robust_scale
from curator.privacy.rows import AttackedRows, nearest

# Beside the target, so many columns of numbers and of words are attacked.
_MOST_OF_A_KIND = 2
# Members and controls that each column is attacked on.
_MOST = 2000
# A number is guessed where it is within so many standard deviations, outliers aside.
_CLOSE = 0.1


def secrets(rows: AttackedRows, target: str) -> list[str]:
    """Return the columns to attack: the target, and of numbers and of words two each that are hardest to guess blindly.

    Hardest are those whose most common value is rarest.
    """
    common = {}
    for name in rows.real.columns:
        counts = rows.real[name].value_counts()
        if name != target and len(counts) > 1:
            common[name] = float(counts.iloc[0]) / float(counts.sum())
    order = sorted(common, key=lambda name: (common[name], name))
    numbers, words = ([c for c in order if (c in rows.words) == kind] for kind in (False, True))
    return [target, *numbers[:_MOST_OF_A_KIND], *words[:_MOST_OF_A_KIND]]


def guessed(rows: AttackedRows, secret: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Attack one column: guess it as that of the synthetic row that is nearest in all other columns.

    Returns
    -------
    hits, tried : (int, int)
        Of members and of controls. Rows whose secret is missing are not tried.
    """
    known = rows.real.columns.drop(secret)
    chosen = np.flatnonzero(rows.real[secret].notna())
    # At random: rows may be sorted by what is guessed.
    rng = np.random.default_rng([rows.seed, 53])
    kinds = (chosen[rows.member[chosen] == kind] for kind in (True, False))
    chosen = np.concatenate([np.sort(rng.permutation(own)[:_MOST]) for own in kinds])
    if len(known) == 0 or len(chosen) == 0:
        return (0, 0), (0, 0)
    others = tuple(c for c in rows.words if c != secret)
    encoder = AttackPoints(others).fit(rows.real[known])
    queries = encoder.transform(rows.real[known].iloc[chosen])
    which = nearest(encoder, rows.synthetic[known], queries)[1]
    guess, truth = rows.synthetic[secret].to_numpy()[which], rows.real[secret].to_numpy()[chosen]
    if secret in rows.words:
        right = guess == truth
    else:
        numbers = rows.real[secret].dropna().to_numpy(float)
        with np.errstate(invalid="ignore"):
            right = np.abs(guess - truth) <= _CLOSE * robust_scale(numbers)
    member = rows.member[chosen]
    return (int(right[member].sum()), int(right[~member].sum())), (int(member.sum()), int((~member).sum()))
