"""What the generations of a policy come to, by their scores and by what they have kept."""

import numpy as np
import pytest

from curator.collapse.outcome import _chain, _Limits
from curator.report.decay import headline

LIMITS = _Limits("log_loss", 0.01, {"tail_mass": 0.95}, np.ones(100))
START = {"scores": {"log_loss": 0.617}, "spread": 0.05}


def chain(*scores, tails=(), policy="replace", spread=0.05, seeds=1, emitted=()):
    """Return what some log losses by generation come to."""
    own = []
    for number, score in enumerate(scores, 1):
        about = {"policy": policy, "source": "mix", "generation": number, "scores": {"log_loss": score},
                 "figures": {"tail_mass": dict(enumerate(tails, 1)).get(number, 1.0)},
                 "real_share": 0.5, "rows": 100, "deepest": 1}  # fmt: skip
        own += [about | ({"emitted": emitted[number - 1]} if emitted else {}) | {"seed": s} for s in range(seeds)]
    return _chain(policy, "mix", own, START | {"spread": spread}, LIMITS, len(scores))


def states(found):
    return [p["state"] for p in found["points"]]


def test_harm_that_chance_may_give_does_not_count_as_safe():
    found = chain(0.62, 0.73)
    assert found["points"][1]["gain"]["mean"] == pytest.approx(-0.113)
    assert states(found) == ["safe", "untold"]
    assert (found["safe"], found["untold_from"], found["unsafe_from"], found["reason"]) == (1, 2, None, "")
    assert found["sentence"].startswith("replace: safe for 1 of 2 generations; whether generation 2 is cannot be told")
    assert "worse by 0.1130" in found["sentence"]


def test_no_number_of_seeds_makes_it_safe_and_proof_makes_it_unsafe():
    assert states(chain(0.73, seeds=100, spread=0.08)) == ["untold"]
    proven = chain(0.73, spread=0.02)
    assert states(proven) == ["unsafe"]
    assert (proven["safe"], proven["unsafe_from"], proven["doubt"]) == (0, 1, "")
    assert "not safe for a single generation" in proven["sentence"]


def test_what_is_within_the_margin_is_safe():
    found = chain(0.617, 0.625, 0.5)
    assert states(found) == ["safe"] * 3
    assert found["sentence"] == "replace: safe for all 3 generations that were simulated"


def test_a_doubt_comes_before_a_harm_that_is_proven_later():
    found = chain(0.62, 0.65, 0.9)
    assert states(found) == ["safe", "untold", "unsafe"]
    assert (found["safe"], found["untold_from"], found["unsafe_from"]) == (1, 2, 3)
    assert "whether generation 2 is cannot be told" in found["sentence"]
    assert "generation 3 is not (log_loss is worse by 0.2830" in found["sentence"]
    # Lost tails are no matter of chance, whatever the score.
    lost = chain(0.62, 0.65, tails=(0.8, 1.0))
    assert (lost["safe"], lost["unsafe_from"], lost["untold_from"]) == (0, 1, 2)
    told = "(tail mass: 0.800 of generation 0, less than 0.95)"
    assert lost["sentence"] == f"replace: not safe for a single generation {told}"


def test_a_headline_does_not_call_a_doubt_safe():
    def told(*chains):
        return headline({"chains": chains, "asked": {"generations": 2}})

    safe, untold, unsafe = chain(0.62, 0.62), chain(0.62, 0.73), chain(0.62, 0.9)
    alone = chain(0.6, 0.6, policy="curated", emitted=["real_only"] * 2)
    assert told(safe, alone) == "Safe for all 2 generations: curated (by real rows alone), replace."
    assert told(untold, safe) == "Safe for all 2 generations: replace."
    assert "shown to be safe for all 2" in told(untold, unsafe)
    assert told(unsafe) == "No policy is safe for all 2 generations; the best is replace, for 1."


def test_a_policy_that_emits_nothing_is_told_to_be_real_rows_alone():
    found = chain(0.6, 0.6, 0.6, policy="curated", emitted=["real_only", "mix", "real_only"], seeds=2)
    assert found["alone"] == {"generations": 4, "of": 6}
    assert found["sentence"] == (
        "curated: safe for all 3 generations that were simulated; real rows alone in 4 of 6 generations"
    )
    mixed = chain(0.6, policy="curated", emitted=["mix"])
    assert "alone in" not in mixed["sentence"]
    assert chain(0.6)["alone"] is None
