"""Copies are found whatever was done to hide them, and chance is no copyist."""

import numpy as np
import pandas as pd
import pytest

from curator.privacy import privacy_figures
from curator.privacy.copies import Copied
from curator.recipe import PrivacyBounds
from curator.table import conform

ELSE = PrivacyBounds(auc=1, tpr_at_1pct_fpr=1, attribute=1)


def numbers(rows, rng):
    return pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcy"))


def copies(made, members, controls):
    report = privacy_figures(made, members, controls, target="y", bounds=ELSE)
    return report, {f.attack: f for f in report.figures if f.name == "copies"}


@pytest.mark.parametrize(("count", "verdict"), [(0, "passed"), (1, "undecided"), (10, "refused")])
def test_one_pair_of_equal_real_rows_is_no_licence_to_copy(count, verdict):
    rng = np.random.default_rng(0)
    members, controls, made = (numbers(n, rng) for n in (900, 450, 900))
    members.iloc[1] = members.iloc[0]
    made.iloc[:count] = members.iloc[10 : 10 + count].to_numpy()
    report, found = copies(made, members, controls)
    assert report.copies == (count, 0)
    assert report.verdict == verdict, report.sentence
    assert found["copies"].core


def test_a_placeholder_that_stands_there_often_explains_no_copy():
    rng = np.random.default_rng(0)
    members, controls, made = (numbers(n, rng) for n in (900, 450, 900))
    members.iloc[:200] = 0.0
    made.iloc[:1] = members.iloc[-1:].to_numpy()
    assert copies(made, members, controls)[0].verdict == "refused"


def test_copies_with_another_target_are_copies():
    rng = np.random.default_rng(0)
    members, controls, made = (numbers(n, rng) for n in (900, 450, 900))
    made.iloc[:3] = members.iloc[:3].to_numpy()
    made["y"] = rng.normal(size=900)
    report, found = copies(made, members, controls)
    assert report.copies == (0, 0)
    assert found["features"].outcome == "exceeded"
    assert "in all columns but the target" in report.sentence


def test_rounding_hides_no_copy():
    """Candidates are rounded to the decimals of the training rows, in which sums of tenths are not tenths."""
    rng = np.random.default_rng(0)

    def odd(rows):
        tenths = rng.integers(1, 10**6, rows) * 0.1
        return pd.DataFrame({"a": tenths, "b": rng.integers(1, 10**6, rows) * 0.01, "y": rng.normal(size=rows)})

    members, controls, made = odd(900), odd(450), odd(900)
    made.iloc[:10] = members.iloc[:10].to_numpy()
    made = conform(made, members, ())
    assert (made.iloc[:10].to_numpy() != members.iloc[:10].to_numpy()).any()
    report, _ = copies(made, members, controls)
    assert report.copies == (10, 0)
    assert report.verdict == "refused"


def test_numbers_that_are_copied_beside_other_words_are_copies():
    rng = np.random.default_rng(1)

    def mixed(rows):
        words = {w: rng.choice([f"k{i}" for i in range(10)], rows) for w in "uvwyz"}
        return pd.DataFrame({**dict(zip("abc", rng.normal(size=(3, rows)), strict=True)), **words})

    members, controls = mixed(900), mixed(450)
    made = mixed(900)
    assert copies(made, members, controls)[0].verdict == "passed"
    made[list("abc")] = members[list("abc")]
    report, found = copies(made, members, controls)
    assert found["copies"].outcome == found["features"].outcome == "within"
    assert found["numbers"].outcome == "exceeded"
    assert report.verdict == "refused"


def test_ends_of_a_range_are_no_copies():
    """Candidates are kept within the range of the members: its end, beside a word, repeats whoever holds it."""
    rng = np.random.default_rng(2)

    def narrow(rows):
        return pd.DataFrame({"a": rng.normal(size=rows), "w": rng.choice(list("uv"), rows), "y": rng.random(rows)})

    members, controls = narrow(900), narrow(450)
    made = conform(narrow(3000).assign(a=lambda f: 3 * f["a"]), members, ("w",))
    _, found = copies(made, members, controls)
    assert found["features"].member_rate == 0
    assert found["features"].outcome == "within"


def test_halves_of_the_features_are_the_same_at_every_call():
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame(rng.normal(size=(200, 7)), columns=list("abcdefy")) for _ in range(3)]
    one, two = (copies(*frames)[1] for _ in range(2))
    assert list(one) == ["copies", "features", "one half", "other half"], "numbers are all features: once is enough"
    assert one == two


def test_where_no_row_is_unique_there_is_nothing_to_copy():
    frame = pd.DataFrame({"u": ["a", "b"] * 300, "v": ["c", "d", "d", "c"] * 150, "y": ["p", "p", "q"] * 200})
    _, found = copies(frame, frame[:300], frame[300:])
    assert {f.outcome for f in found.values()} == {"within"}


def test_copies_that_cannot_be_judged_keep_the_gate_shut():
    """Members that are unique, and repeated; no control that could be."""
    rng = np.random.default_rng(0)
    members = numbers(300, rng)
    controls = pd.concat([numbers(1, rng)] * 100, ignore_index=True)
    made = pd.concat([numbers(500, rng), members[:2]])
    report, found = copies(made, members, controls)
    assert found["copies"].outcome == "not_judged"
    assert report.verdict == "undecided"
    assert "exact copies of unique rows, beyond those of holdout rows not measured" in report.sentence


def test_chance_is_what_pairs_of_real_rows_let_expect():
    assert Copied((1, 0), (900, 450), 1, (0.9, 0.4)).chance > 0.3
    assert Copied((10, 0), (900, 450), 1, (0.9, 0.4)).chance < 1e-3
    assert Copied((0, 0), (900, 450), 0, (0.9, 0.4)).chance == 1.0


def test_chance_alone_seldom_refuses():
    """Tables between coarse and fine, in which few rows are alike."""
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        cells = pd.DataFrame({c: rng.integers(0, 30 + 15 * (seed % 5), 900) for c in "ab"}).assign(
            y=rng.random(900) > 0.5
        )
        report, _ = copies(cells[450:], cells[:300], cells[300:450])
        refused += report.verdict == "refused"
    assert refused < 6


def test_rows_that_chance_repeats_now_and_then_are_neither_refused_nor_kept():
    """Three numbers of few decimals: no two real rows are alike, and one in a dozen tables repeats one by chance."""
    rng, verdicts, hits = np.random.default_rng(0), [], 0
    for _ in range(60):
        frame = pd.DataFrame(rng.integers(0, 100, size=(1600, 3)), columns=list("aby"))
        _, found = copies(frame[400:], frame[:300], frame[300:400])
        hits += found["copies"].member_rate > 0
        verdicts.append(found["copies"].outcome == "exceeded" or (found["copies"].core and found["copies"].value > 0))
    assert hits > 5
    assert sum(verdicts) <= 3
