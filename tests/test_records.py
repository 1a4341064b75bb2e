import dataclasses

import pytest

from curator.records import MixPlan, Trial


def test_a_plan_adds_its_sources_up():
    plan = MixPlan(ratios=(("a", 1.5), ("b", 0.5)), synthetic_weight=0.25)
    assert (plan.ratio, plan.mass, plan.real_only) == (2.0, 0.5, False)


@pytest.mark.parametrize(
    ("plan", "real_only"),
    [(MixPlan(), True), (MixPlan(ratios=(("a", 0.0),)), True), (MixPlan(rare_exponent=0.5), False)],
)
def test_real_only_means_unweighted_and_unaccompanied(plan, real_only):
    assert plan.real_only is real_only


def test_without_synthetic_rows_only_the_weights_tell_plans_apart():
    plan = MixPlan((("a", 0.0),), "relabel", 0.5, 1.0, 0.3, (("realism", 0.2),))
    assert plan.canonical() == MixPlan(rare_exponent=0.3)


def test_settings_without_effect_vanish():
    plan = MixPlan(
        (("a", 1.0), ("b", 0.0)), "keep", thresholds=(("realism", 0.2), ("agreement", 0.5), ("novelty", 0.0))
    )
    assert plan.canonical() == MixPlan((("a", 1.0),), "keep", thresholds=(("realism", 0.2),))


def test_the_agreement_threshold_counts_when_labels_are_filtered():
    plan = MixPlan((("a", 1.0),), "filter", thresholds=(("realism", 0.2), ("agreement", 0.5)))
    assert plan.canonical() == MixPlan((("a", 1.0),), "filter", thresholds=(("agreement", 0.5), ("realism", 0.2)))
    assert plan.canonical().canonical() == plan.canonical()


def test_a_plan_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MixPlan().synthetic_weight = 2.0


def test_a_trials_delta_is_the_mean_over_the_folds_it_saw():
    trial = Trial(0, "trial", MixPlan(), {}, (0.5, 0.7), (0.1, 0.3), "pruned")
    assert trial.delta == pytest.approx(0.2)
