"""Outliers and sentinels hide nothing, and where distances tell nothing, nothing is said."""

import numpy as np
import pandas as pd
import pytest

from curator.privacy import privacy_figures
from curator.privacy.attribute import guessed
from curator.privacy.points import AttackPoints, robust_scale
from curator.privacy.rows import attacked_rows


def numbers(rows, rng):
    return pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcy"))


def auc(report, attack="distance", rows="all"):
    return next(f for f in report.figures if (f.name, f.attack, f.rows) == ("auc", attack, rows))


def outliers(frame, rng):
    frame = frame.copy()
    for place, name in enumerate(frame):
        frame.loc[place, name] = 1e9
    return frame


def sentinels(frame, rng):
    return frame.mask(rng.random(frame.shape) < 0.01, -999999.0)


@pytest.mark.parametrize("spoil", [outliers, sentinels])
def test_values_far_off_do_not_blind_the_attacks(spoil):
    rng = np.random.default_rng(0)
    members, controls = spoil(numbers(600, rng), rng), spoil(numbers(300, rng), rng)
    made = members + rng.normal(scale=1e-3, size=members.shape)
    report = privacy_figures(made, members, controls, target="y")
    assert report.verdict == "refused"
    assert auc(report).value > 0.95
    assert auc(report, "density").value > 0.9
    assert next(f for f in report.figures if f.name == "attribute").outcome == "exceeded"


def test_scales_are_those_of_most_values():
    known = np.random.default_rng(0).normal(scale=3, size=5000)
    assert robust_scale(known) == pytest.approx(3, rel=0.05)
    assert robust_scale(np.r_[known, np.full(50, 1e12)]) == pytest.approx(3, rel=0.06)
    assert robust_scale(np.r_[np.zeros(800), np.arange(200.0)]) > 1, "most are the same: farther out"
    assert robust_scale(np.r_[np.zeros(999), 5.0]) > 0
    assert robust_scale(np.full(9, 4.0)) == 1.0


def test_what_is_far_stays_apart_in_order():
    frame = pd.DataFrame({"a": np.r_[np.random.default_rng(0).normal(size=400), 50.0, 1e6, -1e9, np.nan]})
    found = AttackPoints(()).fit(frame).transform(frame)[-4:, 0]
    assert found[0] < found[1] < -found[2]
    assert -found[2] < 250
    assert found[3] == 0


def test_numbers_with_noise_beside_other_words_are_found():
    """No number is copied exactly, and every word is drawn anew."""
    rng = np.random.default_rng(1)

    def mixed(rows):
        words = {w: rng.choice([f"k{i}" for i in range(40)], rows) for w in "uvw"}
        return pd.DataFrame({**dict(zip("abc", rng.normal(size=(3, rows)), strict=True)), **words, "y": words["u"]})

    members, controls, made = mixed(900), mixed(300), mixed(900)
    made[list("abc")] = members[list("abc")] + rng.normal(scale=1e-3, size=(900, 3))
    report = privacy_figures(made, members, controls, target="y")
    assert auc(report, "numbers").value > 0.9
    assert auc(report, "numbers").outcome == "exceeded"
    assert "by distance in their numbers" in report.sentence


def test_where_most_rows_look_alike_nothing_is_judged():
    """Values apart by far less than distances can tell: that none is found would say nothing."""
    rng = np.random.default_rng(0)

    def narrow(rows):
        far = np.where(rng.random(rows) < 0.5, 0.0, 1.0)
        return pd.DataFrame({"a": far + rng.normal(scale=1e-7, size=rows), "y": rng.choice(["p", "q"], rows)})

    report = privacy_figures(narrow(600), narrow(600), narrow(300), target="y")
    assert auc(report).outcome == "not_judged"
    assert report.verdict == "undecided"


def test_rows_sorted_by_a_column_leak_no_more_than_others(monkeypatch):
    """Members that a column is attacked on are drawn at random, as controls are."""
    monkeypatch.setattr("curator.privacy.attribute._MOST", 200)
    rng = np.random.default_rng(0)

    def sorted_rows(rows):
        a = np.sort(rng.random(rows))
        return pd.DataFrame(
            {"a": a, "b": rng.normal(size=rows), "y": np.where(a < 0.5, "p", rng.choice(["p", "q"], rows))}
        )

    members, controls, made = sorted_rows(2000), sorted_rows(200), sorted_rows(1000)
    rows = attacked_rows(made, members, controls, categorical=(), groups=None, seed=0)
    hits, tried = guessed(rows, "y")
    assert tried == (200, 200)
    assert hits[0] / 200 == pytest.approx(hits[1] / 200, abs=0.1)


def test_a_table_of_words_alone_can_pass():
    """Most nearest rows are no distance away: equal scores, which tell nobody apart."""
    rng = np.random.default_rng(0)

    def words(rows):
        return pd.DataFrame({f"c{i}": rng.choice(list("abc"), rows) for i in range(5)}).assign(
            y=rng.choice(["p", "q"], rows)
        )

    report = privacy_figures(words(2000), words(1500), words(1000), target="y")
    assert report.verdict == "passed", report.sentence
