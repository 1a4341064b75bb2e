"""Attacks find what was memorised and nothing else, whatever the table is made of."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

import curator
from curator.errors import DataError
from curator.privacy import privacy_figures
from curator.recipe import PrivacyBounds


def table(rows, seed=0, kind="binary"):
    """Numbers, one with gaps, words, a date and a flag, with a target of some kind."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    score = x + z + rng.normal(size=rows)
    y = {
        "binary": np.where(score > 0, "yes", "no"),
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(score, [-0.7, 0.7])],
        "regression": score,
    }[kind]
    return pd.DataFrame(
        {
            "x": x,
            "z": np.where(rng.random(rows) < 0.1, np.nan, z),
            "word": rng.choice(["a", "b", None], rows),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, rows), unit="D"),
            "flag": rng.random(rows) > 0.5,
            "y": y,
        }
    )


def memorised(members, rows, seed=0, noise=0.02):
    """Return members with a little noise in their numbers."""
    rng = np.random.default_rng(seed)
    made = members.iloc[rng.integers(len(members), size=rows)].reset_index(drop=True)
    for name in made.select_dtypes(float):
        made[name] += rng.normal(scale=noise, size=rows)
    return made


def repelling(made, members, least):
    """Return the made rows whose novelty, as the filter of that name has it, is this or more."""
    scale = members.std()
    known = cKDTree(members / scale)
    own = known.query(members / scale, k=2)[0][:, 1]
    distance, which = known.query(made / scale)
    return made[distance / (distance + own[which]) >= least]


def outcomes(report):
    return {(f.name, f.attack, f.rows): f.outcome for f in report.figures}


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_memorising_synthesizer_is_refused(kind):
    frame = table(800, kind=kind)
    members, controls = frame[:600], frame[600:]
    report = privacy_figures(memorised(members, 2000), members, controls, target="y")
    assert report.verdict == "refused"
    found = outcomes(report)
    assert found["auc", "density", "all"] == found["auc", "distance", "all"] == "exceeded"
    assert found["attribute", "y", "all"] == "exceeded"
    assert report.sentence.startswith("Refused: attacks do more than the recipe allows: AUC of membership inference")
    near = next(f for f in report.figures if f.name == "near_copies")
    assert near.member_rate > 0.5 > near.control_rate
    assert near.outcome == "reported"


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_rows_of_the_same_distribution_pass(kind):
    frame = table(5200, kind=kind)
    report = privacy_figures(frame[2400:], frame[:1800], frame[1800:2400], target="y")
    assert report.verdict == "passed", report.sentence
    assert report.copies == (0, 0)
    auc = [f for f in report.figures if f.name == "auc"]
    assert all(f.value == pytest.approx(0.5, abs=0.06 if f.rows == "all" else 0.25) for f in auc if f.value is not None)


def test_rows_that_cannot_leak_are_seldom_refused():
    """By the strictest bounds there are: what nothing that leaks would give."""
    bounds, verdicts = PrivacyBounds(auc=0.5, tpr_at_1pct_fpr=0.01, copies=0, attribute=0), []
    for seed in range(40):
        frame = table(1000, seed)
        report = privacy_figures(frame[400:], frame[:300], frame[300:400], target="y", bounds=bounds, seed=seed)
        verdicts.append(report.verdict)
    # Five per cent at most; six of forty come up in one case of seventy.
    assert verdicts.count("refused") < 6


def test_a_few_memorised_rows_are_not_passed():
    """One synthetic row of twenty is a copy with noise; the rest is as innocent as can be."""
    frame = table(5200)
    members, made = frame[:1800], frame[2400:]
    made = pd.concat([memorised(members, 140), made[140:]], ignore_index=True)
    assert privacy_figures(made, members, frame[1800:2400], target="y").verdict != "passed"


@pytest.mark.parametrize("part", ["all", "numbers", "tail"])
def test_rows_that_keep_away_from_members_are_refused(part):
    """A filter that drops what is near members digs holes around them, and an attacker inverts the score."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_t(4, size=(14000, 3)), columns=["a", "b", "c"])
    members, controls, made = frame[:3000], frame[3000:6000], frame[6000:]
    size = members.abs().max(axis=1)
    if part == "tail":
        made = repelling(made, members[size > size.quantile(0.93)], 0.6)
    else:
        members, controls = members[:1000], controls[:1000]
        made = repelling(made, members, 0.4)
    if part == "numbers":
        # Beside many words, what numbers tell is hidden in distances between whole rows.
        words = pd.DataFrame(rng.choice(list("pqrstuvwxyz"), (14000, 7)), columns=list("rstuvwy"))
        members, controls, made = (f.join(words) for f in (members, controls, made))
    report = privacy_figures(made, members, controls, target="y" if part == "numbers" else "c")
    assert report.verdict == "refused"
    place = ("numbers", "all") if part == "numbers" else ("density", part)
    found = outcomes(report)
    assert found["auc_absent", *place] == "exceeded"
    assert found["auc", *place] == "within"
    assert "members" in report.sentence.partition("from the absence of rows nearby, by d")[2]
    assert "Synthetic rows are conspicuously absent near members" in report.sentence
    both = {f.name: f for f in report.figures if (f.attack, f.rows) == place}
    assert both["auc"].value + both["auc_absent"].value == pytest.approx(1)
    assert both["auc_absent"].value > 0.55


def test_a_holdout_that_shows_no_hole_nor_the_contrary_keeps_the_gate_shut():
    """The estimate in the usual direction is far within its bound: that alone opens nothing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(8000, 3)), columns=["a", "b", "y"])
    report = privacy_figures(repelling(frame[2000:], frame[:1000], 0.25), frame[:1000], frame[1000:1300], target="y")
    assert outcomes(report)["auc", "distance", "all"] == "within"
    assert report.verdict == "undecided", report.sentence
    assert "from the absence of rows nearby" in report.sentence


def test_memorising_the_tail_alone_is_found():
    """Only the rows far from all others are repeated, as a generator that has too few of them does."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_t(2.5, size=(9000, 3)), columns=["a", "b", "y"])
    members, controls, made = frame[:3000], frame[3000:5000], frame[5000:]
    far = members[(members.abs().max(axis=1) > members.abs().max(axis=1).quantile(0.93))]
    report = privacy_figures(pd.concat([made, memorised(far, 400)]), members, controls, target="y")
    assert outcomes(report)["auc", "distance", "tail"] == "exceeded"
    assert report.verdict == "refused"


def test_exact_copies_of_few_rows_are_refused_where_chance_makes_none():
    frame = table(2000)
    members, controls = frame[:900], frame[900:1200]
    report = privacy_figures(pd.concat([frame[1200:], members[:1]]), members, controls, target="y")
    assert report.copies == (1, 0)
    assert outcomes(report)["copies", "copies", "all"] == "exceeded"
    assert report.verdict == "refused"


def coarse(rows, seed):
    rng = np.random.default_rng(seed)
    shares = [0.5, 0.2, 0.1, 0.08, 0.06, 0.03, 0.02, 0.01]
    return pd.DataFrame({c: rng.choice(list("abcdefgh"), rows, p=shares) for c in ("u", "v", "w", "y")})


def test_in_a_table_of_few_values_chance_repeats_members_and_holdout_alike():
    frame = coarse(6000, 0)
    members, controls = frame[:1800], frame[1800:2400]
    report = privacy_figures(frame[2400:], members, controls, target="y")
    copies = next(f for f in report.figures if f.name == "copies")
    assert copies.member_rate > 0.3
    assert copies.control_rate > 0.3
    assert copies.outcome == "undecided"
    assert report.verdict in {"passed", "undecided"}
    repeated = privacy_figures(members, members, controls, target="y")
    assert outcomes(repeated)["copies", "copies", "all"] == "exceeded"


def test_copies_with_missing_values_are_copies():
    frame = table(1000).assign(gone=np.nan)
    members = frame[:500]
    report = privacy_figures(members, members, frame[500:], target="y")
    assert report.copies == (500, 0)


def test_a_small_holdout_is_undecided_and_says_so():
    frame = table(400)
    few = privacy_figures(frame[100:], frame[:60], frame[60:75], target="y")
    assert few.verdict == "undecided"
    assert "not measured" in few.sentence
    assert {f.outcome for f in few.figures if f.name in {"auc", "tpr", "attribute"}} == {"not_judged"}
    more = privacy_figures(frame[160:], frame[:120], frame[120:160], target="y")
    assert more.verdict == "undecided"
    assert next(f for f in more.figures if f.name == "tpr").fpr == pytest.approx(1 / 40)


def test_a_small_holdout_still_refuses_what_is_plain():
    frame = table(160)
    report = privacy_figures(memorised(frame[:120], 400), frame[:120], frame[120:], target="y")
    assert report.verdict == "refused"


def test_one_row_of_each_group_is_judged():
    """Every row stands there eight times: eight times as many rows, and no more to be known."""
    frame = table(240)
    often = pd.concat([frame] * 8, ignore_index=True)
    group = np.tile(np.arange(240), 8)
    member = group < 180
    report = privacy_figures(
        table(600, seed=1), often[member], often[~member], target="y", groups=(group[member], group[~member])
    )
    assert report.judged == (180, 60)
    assert (report.members, report.controls) == (1440, 480)


def test_bounds_decide():
    frame = table(800)
    made = memorised(frame[:600], 2000)
    everything = PrivacyBounds(auc=1, tpr_at_1pct_fpr=1, copies=1, attribute=1)
    report = privacy_figures(made, frame[:600], frame[600:], target="y", bounds=everything)
    assert report.verdict == "passed"
    assert {f.bound for f in report.figures if f.outcome != "reported"} == {1}


def test_members_and_controls_are_treated_alike():
    """Exchanged, they give the mirror image where the attack is symmetric: nothing but membership has a say."""
    frame = table(1200)
    made, one, other = frame[600:], frame[:300], frame[300:600]

    def auc(members, controls):
        report = privacy_figures(made, members, controls, target="y")
        return next(f.value for f in report.figures if (f.name, f.attack, f.rows) == ("auc", "distance", "all"))

    assert auc(one, other) == pytest.approx(1 - auc(other, one), abs=1e-6)


def test_same_call_same_figures_and_no_row_is_told():
    frame = table(900)
    reports = [privacy_figures(frame[400:], frame[:300], frame[300:400], target="y", seed=3) for _ in range(2)]
    assert reports[0] == reports[1]
    content = reports[0].to_dict()
    assert set(content) == {"verdict", "sentence", "limits", "rows", "copies", "figures"}
    assert all(not isinstance(v, list | tuple | np.ndarray) for f in content["figures"] for v in f.values())
    assert "no differential privacy" in content["limits"]
    assert len(reports[0].frame()) == len(content["figures"])


def test_more_columns_of_synthetic_rows_are_left_alone_and_numbers_may_be_names():
    frame = table(900).assign(code=np.random.default_rng(0).integers(0, 5, 900))
    made = frame[400:].assign(sample_weight=1.0, row_id="x")
    report = privacy_figures(made, frame[:300], frame[300:400], target="y", categorical=("code",))
    assert report.synthetic == 500
    assert not {"sample_weight", "row_id"} & {f.attack for f in report.figures}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f[:0], f[:50], f[50:]), "synthetic: holds no row"),
        (lambda f: (f, f[:0], f), "members: holds no row"),
        (lambda f: (f.drop(columns="x"), f, f), "synthetic: lacks column 'x'"),
        (lambda f: (f, f, f.drop(columns="z")), "controls: lacks column 'z'"),
        (lambda f: (f.drop(columns="y"),) * 3, "members have no column 'y'"),
    ],
)
def test_what_cannot_be_judged_is_told_in_a_sentence(spoil, said):
    with pytest.raises(DataError, match=said):
        privacy_figures(*spoil(table(100)), target="y")


def test_dates_are_the_same_in_any_type():
    """Copies beside dates as text, as they come from a CSV, are copies."""
    frame = table(900)
    members, controls = frame[:500], frame[500:700]
    made = pd.concat([members[:40], frame[700:]], ignore_index=True)
    text = made.assign(when=made["when"].dt.strftime("%Y-%m-%d"))
    one, two = (privacy_figures(m, members, controls, target="y") for m in (made, text))
    assert one.copies == two.copies == (40, 0)
    assert one.verdict == two.verdict == "refused"


@pytest.mark.parametrize(
    ("synthetic", "members", "said"),
    [
        (["x", "y"], [1.0, 2.0], "synthetic: column 'a' holds what is no number in row 0"),
        (
            ["x", "y"],
            pd.to_datetime(["2024-01-01", "2024-02-01"]),
            "synthetic: column 'a' holds what is no date in row 0",
        ),
        ([1.0, 2.0], pd.to_datetime(["2024-01-01", "2024-02-01"]), "holds numbers, and dates in members"),
        (pd.to_datetime(["2024-01-01", "2024-02-01"]), [1.0, 2.0], "holds dates, and numbers in members"),
        (pd.to_datetime(["2024-01-01", "2024-02-01"]), ["2024-01-01", "x"], "synthetic: column 'a' holds dates"),
        ([0, 1], [True, False], "members: column 'a' holds flags, and something else in synthetic"),
    ],
)
def test_columns_of_different_kinds_are_told(synthetic, members, said):
    own, made = (pd.DataFrame({"a": v, "y": ["p", "q"]}) for v in (members, synthetic))
    with pytest.raises(DataError, match=said):
        privacy_figures(made, own, own, target="y")


def test_numbers_as_text_and_flags_with_gaps_are_read():
    frame = table(300)
    made = frame[200:].assign(
        x=frame["x"].map(repr), flag=frame["flag"].astype(object).where(frame.index % 7 > 0, None)
    )
    report = privacy_figures(made, frame[:100], frame[100:200], target="y")
    assert report.synthetic == 100
    numbers = pd.DataFrame({"a": [None] * 40, "y": ["p", "q"] * 20})
    full = numbers.assign(a=np.arange(40.0))
    assert privacy_figures(numbers, full, full, target="y").copies == (0, 0)


def test_groups_may_be_words_with_gaps():
    frame = table(300)
    groups = np.array([None, *(f"g{i // 3}" for i in range(99))], dtype=object)
    report = privacy_figures(frame[200:], frame[:100], frame[100:200], target="y", groups=(groups, groups))
    assert report.judged == (34, 34)


def test_groups_must_be_given_for_each_row():
    frame = table(100)
    with pytest.raises(DataError, match="groups: 3 are given for 50 rows"):
        privacy_figures(frame, frame[:50], frame[50:], target="y", groups=(np.arange(3), np.arange(50)))


def test_the_package_shows_it():
    assert curator.privacy_figures is privacy_figures
    assert curator.PrivacyBounds is PrivacyBounds
