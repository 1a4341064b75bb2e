"""The mix: what holds for every plan and every pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from curator.mix import KEPT, NOT_NEEDED, NOT_USED, Fed, class_quota, mix
from curator.rare import class_weights, hard_weights, odds_weights
from curator.rare.weights import WEIGHT_CAP
from curator.records import MixPlan
from curator.score.candidates import SLICES
from curator.score.context import rank_within
from curator.score.pool import Pool

SCORERS = ("agreement", "realism", "novelty", "typicality")


def make_pool(
    n: int = 30, m: int = 120, n_classes: int = 2, sources: tuple[str, ...] = ("a", "b"), seed: int = 0, **changes
) -> Pool:
    """Return a pool of random candidates; `n_classes` 0 is regression."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, len(sources), m).astype(np.int16)
    if n_classes:
        share = rng.dirichlet(np.full(n_classes, 2.0))
        y, labels = rng.choice(n_classes, n, p=share), rng.choice(n_classes, m)
        y[: min(n, n_classes)] = np.arange(n_classes)[:n]
        prediction = rng.dirichlet(np.full(n_classes, 0.4), m)
        agreement = prediction[np.arange(m), labels]
    else:
        y, labels, prediction = rng.normal(size=n), rng.normal(size=m), rng.normal(size=m)
        agreement = rng.random(m)
    stratum = source * max(n_classes, 1) + (labels if n_classes else 0)
    ranks = {name: rank_within(rng.random(m), stratum) for name in ("realism", "typicality")}
    scores = {name: {"agreement": agreement, **ranks}.get(name, rng.random(m)) for name in SCORERS}
    given = {
        "X": rng.normal(size=(n, 2)), "X_valid": rng.normal(size=(5, 2)), "X_candidates": rng.normal(size=(m, 2)),
        "y": y, "y_valid": y[:5], "weight": np.ones(n), "weight_valid": np.ones(5), "labels": labels, "source": source,
        "prediction": prediction, "uniform": rng.random(m), "sources": sources, "n_classes": n_classes,
        "categorical": (), "scores": scores, "density": rng.uniform(0.05, 0.95, m), "hardness": rng.random(n),
    }  # fmt: skip
    return Pool(**{**given, **changes})


UNWEIGHTED = {"rare_exponent": 0.0, "effective_beta": 0.0, "hardness": 0.0, "importance": 0.0}
ANY_TASK = st.sampled_from([0, 2, 3])
LABELS = st.sampled_from(["keep", "filter", "relabel"])


@st.composite
def pools(draw, classes=ANY_TASK):
    sources = ("a", "b", "c")[: draw(st.integers(1, 3))]
    n = draw(st.integers(6, 40))
    pool = make_pool(n, draw(st.integers(0, 150)), draw(classes), sources, draw(st.integers(0, 10_000)))
    if draw(st.booleans()):
        pool = replace(pool, weight=np.random.default_rng(n).random(n) + 0.2)
    return pool


@st.composite
def plans(draw, pool):
    thresholds = tuple(
        (name, draw(st.floats(0, 0.9))) for name in draw(st.lists(st.sampled_from(SCORERS), unique=True))
    )
    return MixPlan(
        tuple((s, draw(st.sampled_from([0.0, 0.25, 1.0, 2.5, 5.0]))) for s in pool.sources),
        draw(LABELS),
        draw(st.floats(0.05, 2.0)),
        draw(st.floats(0, 1)) if pool.n_classes else 0.0,
        draw(st.floats(0, 1)),
        thresholds,
        effective_beta=draw(st.sampled_from([0.0, 0.9, 0.9999])) if pool.n_classes else 0.0,
        hardness=draw(st.sampled_from([0.0, 2.0])),
        importance=draw(st.sampled_from([0.0, 0.7])),
    )


@st.composite
def cases(draw, **kinds):
    pool = draw(pools(**kinds))
    return draw(plans(pool)), pool


FORMS = st.sampled_from(["weighted", "sampled", "argmax"])
FAST = settings(max_examples=60, deadline=None)


# --- rows are conserved ---------------------------------------------------------------------------------------------


@FAST
@given(cases(), FORMS)
def test_every_candidate_has_one_decision(case, form):
    plan, pool = case
    mixture = mix(plan, pool, form)
    m = len(pool.labels)
    assert mixture.decision.shape == (m,)
    assert sum(mixture.drop_counts.values()) == m
    assert mixture.reasons == (KEPT, *SCORERS, NOT_NEEDED, NOT_USED)
    kept = np.flatnonzero(mixture.decision == 0)
    assert mixture.n_candidates == mixture.drop_counts[KEPT] == len(kept)
    assert np.array_equal(np.unique(mixture.candidate), kept), "kept candidates are in the mixture, others are not"
    assert np.array_equal(mixture.real, np.arange(len(pool.y))), "every real row once"


@FAST
@given(cases(), FORMS, st.booleans())
def test_weights_are_finite_and_positive(case, form, weights):
    plan, pool = case
    mixture = mix(plan, pool, form, weights=weights)
    for rows, weight in ((mixture.real, mixture.real_weight), (mixture.candidate, mixture.weight)):
        assert weight.shape == rows.shape
        assert np.isfinite(weight).all()
        assert (weight > 0).all()
    assert mixture.label.shape == mixture.candidate.shape


@FAST
@given(cases(), FORMS, st.booleans())
def test_mixing_is_pure(case, form, weights):
    plan, pool = case
    one, other = mix(plan, pool, form, weights=weights), mix(plan, pool, form, weights=weights)
    for name in ("real", "real_weight", "candidate", "label", "weight", "decision"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@FAST
@given(cases())
def test_a_reason_is_true(case):
    plan, pool = case
    mixture = mix(plan, pool)
    thresholds, ratios = dict(plan.canonical().thresholds), dict(plan.ratios)
    for code, reason in enumerate(mixture.reasons):
        own = mixture.decision == code
        used = np.array([ratios[s] > 0 for s in pool.sources])[pool.source] if len(pool.source) else own
        if reason in SCORERS:
            assert (pool.scores[reason][own] < thresholds.get(reason, 0.0)).all()
        elif reason == NOT_USED:
            assert np.array_equal(own, ~used)
        else:
            for name, least in thresholds.items():
                # Of doubtful labels no class gives more than its share.
                assert name == "agreement" or (pool.scores[name][own] >= least).all()


# --- quotas -----------------------------------------------------------------------------------------------------------


@FAST
@given(cases())
def test_quotas_by_source_and_class_are_kept_and_shortfalls_counted(case):
    plan, pool = case
    mixture = mix(plan, pool)
    kept = mixture.decision == 0
    for number, name in enumerate(pool.sources):
        ratio = dict(plan.ratios)[name]
        quota = class_quota(pool.y, pool.n_classes, ratio, plan.class_tilt, pool.weight)
        own = kept & (pool.source == number)
        got = np.bincount(pool.labels[own], minlength=pool.n_classes) if pool.n_classes else np.array([own.sum()])
        assert (got <= quota).all()
        assert int((quota - got).sum()) == mixture.shortfall.get(name, 0)
        # A class is short only when none of its candidates was left out as not needed.
        spare = (mixture.decision == mixture.reasons.index(NOT_NEEDED)) & (pool.source == number)
        for stratum in np.flatnonzero(got < quota):
            assert not (spare & (pool.labels == stratum if pool.n_classes else True)).any()


@FAST
@given(cases())
def test_the_first_candidates_that_pass_are_taken(case):
    plan, pool = case
    mixture = mix(plan, pool)
    spare = mixture.reasons.index(NOT_NEEDED)
    strata = pool.labels if pool.n_classes else np.zeros(len(pool.labels), dtype=int)
    for number in range(len(pool.sources)):
        for stratum in np.unique(strata):
            own = mixture.decision[(pool.source == number) & (strata == stratum)]
            kept, left = np.flatnonzero(own == 0), np.flatnonzero(own == spare)
            assert len(kept) == 0 or len(left) == 0 or kept.max() < left.min()


@FAST
@given(cases(), st.floats(1.0, 4.0))
def test_a_larger_ratio_keeps_what_a_smaller_one_takes(case, factor):
    plan, pool = case
    larger = replace(plan, ratios=tuple((s, r * factor) for s, r in plan.ratios))
    small, large = mix(plan, pool), mix(larger, pool)
    assert set(np.flatnonzero(small.decision == 0)) <= set(np.flatnonzero(large.decision == 0))
    if plan.rare_exponent == 0 and plan.labels == "keep":
        weight = dict(zip(large.candidate, large.weight, strict=True))
        assert all(weight[c] == w for c, w in zip(small.candidate, small.weight, strict=True))


@given(
    y=st.lists(st.integers(0, 3), min_size=1, max_size=60), ratio=st.floats(0.0, 10.0), tilt=st.floats(0.0, 1.0)
)
def test_quotas_sum_to_the_ratio_and_grow_with_it(y, ratio, tilt):
    y = np.array(y)
    quota = class_quota(y, 4, ratio, tilt)
    assert (quota >= 0).all()
    assert (quota[np.bincount(y, minlength=4) == 0] == 0).all(), "a class without real rows asks for none"
    assert abs(quota.sum() - ratio * len(y)) <= 4, "each class is rounded, small ones to one row"
    assert (quota > 0).sum() >= min((np.bincount(y, minlength=4) > 0).sum(), int(ratio * len(y)))
    assert (class_quota(y, 4, ratio + 0.5, tilt) >= quota).all()


def test_class_tilt_0_keeps_real_shares_and_1_evens_them_out():
    y = np.repeat([0, 1, 2], [80, 15, 5])
    assert class_quota(y, 3, 3.0, 0.0).tolist() == [240, 45, 15]
    assert class_quota(y, 3, 3.0, 1.0).tolist() == [100, 100, 100]
    half = class_quota(y, 3, 3.0, 0.5)
    root = np.sqrt([0.8, 0.15, 0.05])
    assert half.tolist() == np.round(300 * root / root.sum()).tolist()
    assert class_quota(np.arange(7.0), 0, 0.5, 0.0).tolist() == [4], "at regression one number for all"


def test_small_ratios_ask_for_small_classes_too():
    assert class_quota(np.repeat([0, 1, 2], [970, 15, 15]), 3, 0.03, 0.0).tolist() == [29, 1, 1]
    assert class_quota(np.repeat(np.arange(60), 5), 60, 0.1, 0.0).tolist() == [1] * 30 + [0] * 30


def test_kinds_of_weights_together_keep_the_mean_weight():
    y = np.repeat([0, 1], [900, 100])
    pool = make_pool(1000, 100, y=y, hardness=np.where(y == 1, 0.9, 0.05), weight=np.ones(1000))
    for own in (np.ones(1000), np.where(y == 1, 5.0, 1.0)):
        for kinds in ({"rare_exponent": 1.0}, {"hardness": 10.0}, {"rare_exponent": 1.0, "hardness": 10.0}):
            weight = mix(MixPlan((("a", 1.0),), **kinds), replace(pool, weight=own)).real_weight
            assert weight.mean() == pytest.approx(own.mean())


def test_a_class_that_hardly_weighs_anything_is_there_all_the_same():
    y = np.repeat([0, 1, 2], [40, 40, 10])
    weight = np.repeat([1.0, 1.0, 0.02], [40, 40, 10])
    weight[85] = 0.03
    pool = make_pool(90, 60, 3, y=y, weight=weight)
    mixture = mix(MixPlan(), pool, weights=False)
    assert mixture.real[y[mixture.real] == 2].tolist() == [85]
    none = mix(MixPlan(), replace(pool, weight=np.where(y == 2, 0.0, 1.0)), weights=False)
    assert set(y[none.real]) == {0, 1}, "a class of no weight is none"


def test_quotas_go_by_the_weight_of_a_class():
    """Fifty rows of a rare class may stand for two hundred in two million."""
    y, weight = np.repeat([0, 1], [950, 50]), np.repeat([1.0, 0.04], [950, 50])
    assert class_quota(y, 2, 1.0, 0.0, weight).tolist() == [998, 2]
    assert class_quota(y, 2, 1.0, 0.0, 3 * weight).tolist() == [998, 2]
    assert class_quota(y, 2, 1.0, 1.0, weight).tolist() == [500, 500]
    assert class_quota(y, 2, 1.0, 0.0, np.ones(1000)).tolist() == class_quota(y, 2, 1.0, 0.0).tolist() == [950, 50]


# --- thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scorer", ["realism", "typicality"])
def test_a_rank_threshold_drops_its_share_of_every_source_and_class(scorer):
    pool = make_pool(n=50, m=4000, n_classes=3, seed=3)
    mixture = mix(MixPlan((("a", 500.0), ("b", 500.0)), thresholds=((scorer, 0.3),)), pool)
    dropped = mixture.decision == mixture.reasons.index(scorer)
    for source in (0, 1):
        for label in range(3):
            own = (pool.source == source) & (pool.labels == label)
            assert dropped[own].mean() == pytest.approx(0.3, abs=1.5 / own.sum())
            # What is dropped is what scores least within the stratum.
            assert pool.scores[scorer][own & dropped].max() < pool.scores[scorer][own & ~dropped].min()


def test_agreement_counts_only_where_labels_are_filtered():
    pool = make_pool()
    doubted = pool.scores["agreement"] < 0.5
    for labels in ("keep", "relabel"):
        plan = MixPlan((("a", 90.0), ("b", 90.0)), labels, thresholds=(("agreement", 0.5),))
        assert mix(plan, pool).drop_counts["agreement"] == 0
    mixture = mix(replace(plan, labels="filter"), pool)
    dropped = mixture.decision == mixture.reasons.index("agreement")
    assert dropped.any()
    assert not (dropped & ~doubted).any()
    one = mix(replace(plan, labels="filter"), replace(pool, labels=np.zeros_like(pool.labels)))
    assert np.array_equal(one.decision == one.reasons.index("agreement"), doubted)
    assert np.array_equal(mixture.label, pool.labels[mixture.candidate])


def test_the_first_failed_scorer_is_the_reason():
    pool = make_pool(m=2, sources=("a",))
    pool = replace(pool, scores={name: np.array([0.0, 1.0]) for name in SCORERS})
    plan = MixPlan((("a", 9.0),), thresholds=(("typicality", 0.5), ("novelty", 0.5)))
    assert mix(plan, pool).reasons[mix(plan, pool).decision[0]] == "novelty"


def test_what_passes_fills_the_quota():
    pool = make_pool(n=20, m=400, sources=("a",), n_classes=0)
    few = mix(MixPlan((("a", 1.0),)), pool)
    filtered = mix(MixPlan((("a", 1.0),), thresholds=(("realism", 0.5),)), pool)
    assert few.n_candidates == filtered.n_candidates == 20
    assert (pool.scores["realism"][filtered.candidate] >= 0.5).all()


def test_unknown_sources_and_scorers_are_refused():
    pool = make_pool()
    with pytest.raises(KeyError, match="gone"):
        mix(MixPlan((("gone", 1.0),)), pool)
    with pytest.raises(KeyError, match="charm"):
        mix(MixPlan((("a", 1.0),), thresholds=(("charm", 0.1),)), pool)


# --- labels -----------------------------------------------------------------------------------------------------------


@FAST
@given(pools(classes=st.sampled_from([2, 3, 5])), st.floats(0.05, 2.0))
def test_soft_labels_share_the_synthetic_weight(pool, weight):
    plan = MixPlan(tuple((s, 3.0) for s in pool.sources), "relabel", weight)
    mixture = mix(plan, pool)
    kept = np.flatnonzero(mixture.decision == 0)
    total = np.bincount(mixture.candidate, mixture.weight, minlength=len(pool.labels))[kept]
    assert total == pytest.approx(np.full(len(kept), weight * pool.weight.mean()))
    pairs = set(zip(mixture.candidate.tolist(), mixture.label.tolist(), strict=True))
    assert len(pairs) == len(mixture.candidate), "one row a class at most"
    for c, label, w in zip(mixture.candidate, mixture.label, mixture.weight, strict=True):
        chance = pool.prediction[c]
        written = mixture.label[mixture.candidate == c]
        total = np.maximum(chance[written], 0.01).sum()
        assert w / (weight * pool.weight.mean()) == pytest.approx(max(chance[label], 0.01) / total)
        assert set(np.flatnonzero(chance >= 0.01)) <= set(written), "what is likely is always written"


def test_unlikely_classes_are_written_now_and_then_and_right_on_average():
    m = 20_000
    pool = make_pool(n=10, m=m, n_classes=4, sources=("a",))
    chance = [0.9, 0.094, 0.005, 0.001]
    pool = replace(pool, prediction=np.tile(chance, (m, 1)), uniform=np.random.default_rng(0).random(m))
    mixture = mix(MixPlan((("a", 99_999.0),), "relabel"), pool)
    share = np.bincount(mixture.label, mixture.weight) / mixture.weight.sum()
    assert share == pytest.approx(chance, rel=0.05)
    assert len(mixture.label) / m == pytest.approx(2.6, abs=0.05), "few rows are written for them"


@FAST
@given(cases(classes=st.sampled_from([2, 3])), st.sampled_from(["sampled", "argmax"]))
def test_hard_forms_give_one_row_a_candidate(case, form):
    plan, pool = case
    mixture = mix(replace(plan, labels="relabel", **UNWEIGHTED), pool, form)
    assert len(np.unique(mixture.candidate)) == len(mixture.candidate)
    assert np.allclose(mixture.weight, plan.synthetic_weight * pool.weight.mean())
    if form == "argmax":
        assert np.array_equal(mixture.label, pool.prediction[mixture.candidate].argmax(axis=1))


@given(
    st.lists(st.sampled_from([0.0, 1.0, 3.0, 0.005]), min_size=2, max_size=4).filter(lambda p: max(p) >= 1),
    st.one_of(st.sampled_from([0.0, 0.5, 1 - 2**-53]), st.floats(0, 1, exclude_max=True)),
)
def test_a_sampled_label_has_a_chance(raw, uniform):
    chance = np.array(raw) / sum(raw)
    pool = make_pool(n=10, m=1, n_classes=len(raw), sources=("a",))
    pool = replace(pool, prediction=chance[None], uniform=np.array([uniform]))
    mixture = mix(MixPlan((("a", 50.0),), "relabel"), pool, "sampled")
    assert chance[mixture.label[0]] > 0


def test_sampled_labels_are_right_on_average():
    m = 2000
    pool = make_pool(n=10, m=m, n_classes=3, sources=("a",))
    prediction = np.tile([0.6, 0.3, 0.1], (m, 1))
    pool = replace(pool, prediction=prediction, uniform=(np.arange(m) + 0.5) / m)
    mixture = mix(MixPlan((("a", 9999.0),), "relabel"), pool, "sampled")
    assert np.bincount(mixture.label, minlength=3) / m == pytest.approx([0.6, 0.3, 0.1], abs=0.001)


def test_a_hundred_equally_likely_classes_keep_their_weight():
    # Each is a hair under the 1 % below which a class is written now and then.
    pool = make_pool(n=200, m=3, n_classes=100, sources=("a",))
    pool = replace(pool, prediction=np.full((3, 100), np.nextafter(0.01, 0)))
    mixture = mix(MixPlan((("a", 99.0),), "relabel"), pool)
    assert np.isfinite(mixture.weight).all()
    assert mixture.weight.sum() == pytest.approx(3)


@FAST
@given(pools(classes=st.just(0)), FORMS)
def test_at_regression_relabelling_takes_the_prediction(pool, form):
    plan = MixPlan(tuple((s, 2.0) for s in pool.sources), "relabel")
    mixture = mix(plan, pool, form)
    assert np.array_equal(mixture.label, pool.prediction[mixture.candidate])
    assert len(np.unique(mixture.candidate)) == len(mixture.candidate)


def test_real_rows_are_never_relabelled():
    pool = make_pool()
    mixture = mix(MixPlan((("a", 2.0),), "relabel"), pool)
    assert np.array_equal(mixture.real, np.arange(30))
    assert np.array_equal(mixture.real_weight, np.ones(30))


# --- weights and copies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(60, 40), (70, 20, 10)])
def test_exponent_1_is_balanced_as_in_scikit_learn(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    pool = replace(make_pool(n=len(y), n_classes=len(counts)), y=y)
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=y)
    mixture = mix(MixPlan((("a", 1.0),), rare_exponent=1.0), pool)
    assert mixture.real_weight == pytest.approx(balanced[y])
    assert mixture.weight == pytest.approx(balanced[mixture.label])


def test_rare_weights_are_capped():
    y = np.repeat([0, 1], [990, 10])
    mixture = mix(MixPlan(rare_exponent=1.0), replace(make_pool(n=1000), y=y))
    assert mixture.real_weight.max() / np.median(mixture.real_weight) == pytest.approx(WEIGHT_CAP)
    assert mixture.real_weight.mean() == pytest.approx(1)


def test_kinds_of_weights_are_capped_together():
    """A hard row of a rare class has both; ten times each would be a hundred."""
    y = np.repeat([0, 1], [990, 10])
    pool = replace(make_pool(n=1000, m=4000), y=y, hardness=np.where(np.arange(1000) >= 990, 1.0, 0.01))
    plan = MixPlan((("a", 1.0),), rare_exponent=1.0, hardness=30.0, importance=1.0)
    mixture = mix(plan, pool)
    assert mixture.real_weight.max() / np.median(mixture.real_weight) == pytest.approx(WEIGHT_CAP)
    alone = mix(replace(plan, importance=0.0, hardness=0.0), pool)
    assert mixture.weight.sum() == pytest.approx(alone.weight.sum(), rel=0.25)
    assert mixture.weight.max() / np.median(mixture.weight) <= WEIGHT_CAP + 1e-9


def test_agreement_takes_no_greater_share_of_a_rare_class():
    """The teacher gives candidates of the rare class a fifth of what it gives the others."""
    rng = np.random.default_rng(0)
    m = 2000
    labels = (rng.random(m) < 0.1).astype(int)
    chance = np.where(labels == 1, rng.uniform(0, 0.2, m), rng.uniform(0, 1.0, m))
    pool = make_pool(n=100, m=m, sources=("a",))
    pool = replace(pool, labels=labels, scores={**pool.scores, "agreement": chance})
    for threshold in (0.2, 0.5, 0.9):
        plan = MixPlan((("a", 1.0),), "filter", thresholds=(("agreement", threshold),))
        mixture = mix(plan, pool)
        gone = mixture.decision == mixture.reasons.index("agreement")
        whole = (chance < threshold).mean()
        assert gone[labels == 1].mean() <= whole + 0.01
        assert gone[labels == 0].mean() <= whole + 0.01
        assert np.all(chance[gone] < threshold)
        # The least believed go.
        rare = labels == 1
        assert chance[rare & gone].max() <= chance[rare & ~gone].min()


def test_user_weights_stay_and_synthetic_rows_weigh_like_the_average_real_one():
    weight = np.linspace(1, 5, 30)
    pool = replace(make_pool(), weight=weight)
    mixture = mix(MixPlan((("a", 1.0),), synthetic_weight=0.5), pool)
    assert np.array_equal(mixture.real_weight, weight)
    assert np.allclose(mixture.weight, 1.5)


@FAST
@given(cases(), FORMS)
def test_without_weights_real_rows_of_weight_1_stand_once(case, form):
    plan, pool = case
    pool = replace(pool, weight=np.ones(len(pool.y)))
    mixture = mix(replace(plan, **UNWEIGHTED), pool, form, weights=False)
    assert np.array_equal(mixture.real, np.arange(len(pool.y)))
    assert (mixture.real_weight == 1).all()
    assert (mixture.weight == 1).all()


@FAST
@given(cases(), FORMS)
def test_copies_differ_from_weights_by_less_than_one_row(case, form):
    plan, pool = case
    weighted, copied = mix(plan, pool, form), mix(plan, pool, form, weights=False)
    scale = 1 / np.median(weighted.real_weight)
    real = np.bincount(copied.real, minlength=len(pool.y))
    assert (np.abs(real - weighted.real_weight * scale) < 1 + 1e-6).all()
    wanted = np.bincount(weighted.candidate, weighted.weight * scale, minlength=len(pool.labels))
    made = np.bincount(copied.candidate, minlength=len(pool.labels))
    assert (np.abs(made - wanted) < 1 + 1e-6).all()
    assert np.array_equal(copied.decision, weighted.decision)


@pytest.mark.parametrize("form", ["weighted", "sampled", "argmax"])
@pytest.mark.parametrize("weight", [0.3, 1.0, 1.7])
def test_copies_are_unbiased(form, weight):
    # The same candidate many times over, with numbers spread evenly over [0, 1): averages must come out.
    m, chance = 3000, np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    pool = make_pool(n=10, m=m, n_classes=3, sources=("a",))
    pool = replace(pool, prediction=np.tile(chance, (m, 1)), uniform=rng.permutation((np.arange(m) + 0.5) / m))
    mixture = mix(MixPlan((("a", 99_999.0),), "relabel", weight), pool, form, weights=False)
    expected = {"argmax": np.array([1.0, 0.0, 0.0])}.get(form, chance)
    assert len(mixture.label) / m == pytest.approx(weight, abs=0.02)
    assert np.bincount(mixture.label, minlength=3) / m == pytest.approx(weight * expected, abs=0.03)


@pytest.mark.parametrize("chance", [[0.998, 0.002], [0.004, 0.996], [0.6, 0.395, 0.005]])
@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_copies_of_unlikely_classes_are_unbiased(chance, weight):
    # Whether such a class is written, and which copy is taken, are two draws.
    m = 200_000
    pool = make_pool(n=10, m=m, n_classes=len(chance), sources=("a",))
    pool = replace(pool, prediction=np.tile(chance, (m, 1)), uniform=np.random.default_rng(0).random(m))
    mixture = mix(MixPlan((("a", 99_999.0),), "relabel", weight), pool, weights=False)
    share = np.bincount(mixture.label, minlength=len(chance)) / len(mixture.label)
    assert share.min() == pytest.approx(min(chance), rel=0.25)


def test_copies_of_real_rows_are_unbiased():
    y = np.repeat([0, 1], [3000, 1000])
    pool = replace(make_pool(n=4000), y=y)
    weighted = mix(MixPlan(rare_exponent=0.7), pool).real_weight
    copied = mix(MixPlan(rare_exponent=0.7), pool, weights=False)
    share = weighted[y == 1].sum() / weighted.sum()
    assert (pool.y[copied.real] == 1).mean() == pytest.approx(share, abs=0.005)
    assert np.bincount(copied.real)[y == 0].tolist() == [1] * 3000


# --- plans ------------------------------------------------------------------------------------------------------------


@FAST
@given(cases(), FORMS, st.booleans())
def test_canonical_changes_nothing(case, form, weights):
    plan, pool = case
    one, other = mix(plan, pool, form, weights=weights), mix(plan.canonical(), pool, form, weights=weights)
    for name in ("real", "real_weight", "candidate", "label", "weight", "decision"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert plan.canonical().canonical() == plan.canonical()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MixPlan((("a", 0.0),), "relabel", 0.3, 0.5), MixPlan()),
        (MixPlan((("a", 1.0), ("b", 0.0))), MixPlan((("a", 1.0),))),
        (MixPlan((("a", 1.0),), thresholds=(("novelty", 0.0),)), MixPlan((("a", 1.0),))),
        (MixPlan((("a", 1.0),), thresholds=(("agreement", 0.4),)), MixPlan((("a", 1.0),))),
        (
            MixPlan((("a", 1.0),), thresholds=(("novelty", 0.1), ("realism", 0.2))),
            MixPlan((("a", 1.0),), thresholds=(("realism", 0.2), ("novelty", 0.1))),
        ),
        (MixPlan((("a", 1.0), ("b", 2.0))), MixPlan((("b", 2.0), ("a", 1.0)))),
        # A filter without a threshold lets everything pass.
        (MixPlan((("a", 1.0),), "filter"), MixPlan((("a", 1.0),), "keep")),
        (MixPlan((("a", 1.0),), "filter", thresholds=(("agreement", 0.0),)), MixPlan((("a", 1.0),), "keep")),
    ],
)
def test_equal_mixes_compare_equal(one, other):
    pool = make_pool()
    assert np.array_equal(mix(one, pool).decision, mix(other, pool).decision)
    assert one.canonical() == other.canonical()
    assert hash(one.canonical()) == hash(other.canonical())


@pytest.mark.parametrize(
    "change",
    [
        {"ratios": (("a", 1.25),)}, {"labels": "relabel"}, {"synthetic_weight": 0.9}, {"class_tilt": 0.1},
        {"rare_exponent": 0.1}, {"thresholds": (("novelty", 0.1),)},
    ],
)  # fmt: skip
def test_different_mixes_compare_different(change):
    plan = MixPlan((("a", 1.0),))
    assert replace(plan, **change).canonical() != plan.canonical()


def test_real_only():
    assert MixPlan().real_only
    assert MixPlan((("a", 0.0),)).real_only
    assert not MixPlan(rare_exponent=0.5).real_only
    assert not MixPlan((("a", 0.25),)).real_only
    mixture = mix(MixPlan(), make_pool())
    assert mixture.drop_counts[NOT_USED] == 120
    assert len(mixture.candidate) == 0
    assert MixPlan((("a", 2.0), ("b", 1.0)), synthetic_weight=0.5).mass == 1.5


def _fed(m=300, low=(), **changes):
    """Return a pool in which a second source feeds two slices; candidates at `low` fail every filter."""
    pool = make_pool(m=m, sources=("a", SLICES), **changes)
    made_for = np.where(pool.source == 1, np.arange(m) % 2, -1)
    scores = {name: np.where(np.isin(np.arange(m), low), 0.0, 1.0) for name in pool.scores}
    return replace(pool, made_for=made_for, fed=("young", "old"), scores=scores)


def test_quotas_of_classes_do_not_bind_what_feeds_slices():
    pool = _fed()
    mixture = mix(MixPlan(((SLICES, 1.0),), class_tilt=0.5), pool)
    for k in (0, 1):
        first = np.flatnonzero(pool.made_for == k)[: len(pool.y) // 2]
        assert np.array_equal(mixture.candidate[pool.made_for[mixture.candidate] == k], first)
    assert mix(MixPlan(((SLICES, 9.0),)), pool).shortfall == {SLICES: 270 - int((pool.source == 1).sum())}


@pytest.mark.parametrize("n_classes", [0, 3])
def test_a_slice_that_few_candidates_pass_for_is_not_made_up_for_by_another(n_classes):
    plain = _fed(n_classes=n_classes)
    young = np.flatnonzero(plain.made_for == 0)
    pool = _fed(n_classes=n_classes, low=young[5:])
    plan = MixPlan(((SLICES, 0.7),), thresholds=(("novelty", 0.5),))
    mixture = mix(plan, pool)
    # 21 of 30 rows: the odd one goes to the first.
    assert mixture.fed == {"young": Fed(11, 5), "old": Fed(10, 10)}
    assert mixture.shortfall == {SLICES: 6}
    assert set(mixture.candidate) == {*young[:5], *np.flatnonzero(pool.made_for == 1)[:10]}
    assert mix(MixPlan((("a", 1.0),)), pool).fed == {}



def test_hard_rows_and_real_looking_candidates_weigh_more():
    pool = make_pool(n=40, m=200)
    plain, hard = (mix(MixPlan((("a", 2.0),), hardness=h), pool) for h in (0.0, 3.0))
    assert hard.real_weight / plain.real_weight == pytest.approx(hard_weights(pool.hardness, 3.0))
    assert np.array_equal(hard.weight, plain.weight)
    odds = mix(MixPlan((("a", 2.0),), "relabel", importance=0.5), pool)
    without = mix(MixPlan((("a", 2.0),), "relabel"), pool)
    assert np.array_equal(odds.candidate, without.candidate)
    chosen = np.unique(odds.candidate)
    expected = np.zeros(200)
    expected[chosen] = odds_weights(pool.density[chosen], 0.5)
    assert odds.weight / without.weight == pytest.approx(expected[odds.candidate])
    assert odds.weight.sum() == pytest.approx(without.weight.sum())


def test_effective_numbers_weigh_both_kinds_of_rows():
    pool = make_pool(n=60, m=200)
    mixture = mix(MixPlan((("a", 1.0),), effective_beta=0.9), pool)
    by_class = class_weights(pool.y, 2, 0.0, beta=0.9)
    assert mixture.real_weight == pytest.approx(by_class[pool.y])
    assert mixture.weight == pytest.approx(by_class[mixture.label])
