"""How figures and plans are put for a reader: numbers, intervals, verdicts, drop reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curator.records import MixPlan

MISSING = "–"
NBSP = "\u00a0"  # keeps a number and its unit on one line

VERDICTS = {
    "better": "Better",
    "not_worse": "Not worse",
    "undecided": "Undecided",
    "worse": "Worse",
    "not_applicable": "Not applicable",
}

OUTCOMES = {
    "within": "shown to be within",
    "undecided": "not shown either way",
    "exceeded": "exceeded",
    "not_judged": "too few rows",
    "reported": "no bound",
}

ARMS = {
    "real_only": "the real rows as they are",
    "real_class_weight": "the real rows, weighted by the inverse share of their class",
    "real_tuned_threshold": "the real rows, with the decision threshold tuned",
    "random_oversampling": "real rows of smaller classes repeated until classes are of equal size",
    "smote": "classes made of equal size by SMOTE / SMOTENC",
    "real_tuned": "the real rows, with the estimator's main settings tuned: what tuning gives, not what data gives",
    "filtered": "5 synthetic rows per real row, kept where the teacher agrees with their label by more than 0.2",
    "relabelled_5x": "5 synthetic rows per real row, labelled by the teacher",
    "curated": "the plan that the search selected",
}

DECISIONS = {
    "kept": "in the dataset",
    "agreement": "the teacher doubts its label",
    "realism": "too easy to tell from a real row",
    "novelty": "too close to a real row",
    "typicality": "too far from where real rows are dense",
    "not_needed": "passed, but its source and class had given enough",
    "source_not_used": "its source has no part in the plan",
    "mix_not_emitted": "passed, but the dataset is the real rows alone",
}

# What the package `sdv` stands behind; a test compares it with the registry, which this floor may not import.
SDV_SYNTHESIZERS = frozenset({"gaussian_copula", "ctgan", "tvae", "copula_gan"})
SDV_LICENCE = (
    "SDV (the Synthetic Data Vault) is Business Source licensed: its use is granted for every purpose except offering "
    "its functionality to third parties as a commercial service."
)


def known(value: Any) -> bool:
    """Whether a figure is there: a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def decimals_for(*values: Any) -> int:
    """Return how many decimals show four significant digits of the largest value; between 0 and 8.

    Examples
    --------
    >>> decimals_for(0.49), decimals_for(54.3, None), decimals_for(12345.0)
    (4, 2, 0)
    """
    top = max((abs(v) for v in values if known(v)), default=0.0)
    return 4 if top == 0 else min(8, max(0, 3 - math.floor(math.log10(top))))


def number(value: Any, decimals: int = 0) -> str:
    """Return a number with thousands separated and a true minus sign.

    Examples
    --------
    >>> number(15187), number(0.49008, 4), number(None)
    ('15,187', '0.4901', '–')
    """
    return f"{_without_minus_zero(value, decimals):,.{decimals}f}".replace("-", "\u2212") if known(value) else MISSING


def signed(value: Any, decimals: int = 4) -> str:
    """Return a difference with its sign; exactly nothing has none."""
    if not known(value):
        return MISSING
    rounded = _without_minus_zero(value, decimals)
    return f"{rounded:{'+' if rounded else ''},.{decimals}f}".replace("-", "\u2212")


def share(value: Any) -> str:
    """Return a share as a percentage, with a decimal where it is small."""
    if not known(value):
        return MISSING
    return f"{100 * value:.{1 if 0 < value < 0.095 else 0}f}{NBSP}%"


def names_in(slices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the measures that any slice has, in the order in which they first come."""
    return list(dict.fromkeys(name for s in slices for name in s["measures"]))


def span(interval: Mapping[str, Any] | None, decimals: int, *, sign: bool = False) -> str:
    """Return ``low to high``, or say that there is no interval (too few folds or too few defined resamples)."""
    if interval is None or not (known(interval.get("low")) and known(interval.get("high"))):
        return "no interval"
    show = signed if sign else number
    return f"{show(interval['low'], decimals)} to {show(interval['high'], decimals)}"


def joined(names: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    items = list(names)
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def plan_of(raw: Mapping[str, Any]) -> MixPlan:
    """Return a plan from its JSON form, less the settings that have no effect."""
    return MixPlan.from_json(raw).canonical()


def arm_words(name: str) -> str:
    """Say what an arm of the ladder is."""
    if name.endswith("_naive_1x"):
        return f"as many rows of {name.removesuffix('_naive_1x')} as there are real rows, unfiltered"
    return ARMS.get(name, "")


def headline(results: Mapping[str, Any]) -> str:
    """Return the verdict in one plain sentence."""
    verdict, plan = results["verdict"], plan_of(results["selected"]["plan"])
    if plan.real_only:
        return "No mix was found to beat the real rows alone, so the dataset is the real rows."
    what = "weighting the real rows" if plan.ratio == 0 else "adding synthetic rows"
    mixed = verdict["emitted"] == "mix"
    models = results.get("models") or []
    model = results["estimator"] if models else "the model"
    better, harmless = f"{what.capitalize()} makes {model} better", f"{what.capitalize()} does no harm"
    refusing = [m["estimator"] for m in models if m.get("refuses")]
    harm = "but a rare slice gets worse" if _harmed(results) else "but the policy was not met"
    if refusing and not _harmed(results):
        harm = f"but {' and '.join(refusing)} refuses it"
    unsure = f"; {' and '.join(refusing)} refuses it, " if refusing else ", "
    certified = results["policy"] == "certified"
    shown = (verdict.get("joined") or {}).get("low")
    together = "that it does no harm" if shown is not None and shown <= 0 else "it does"
    why = f"folds and holdout together say {together}" if certified else "the recipe's policy asks for it"
    instead = f"overall, {harm}: the dataset is the real rows alone."
    sentences = {
        "better": f"{better}." if mixed else f"{better} {instead}",
        "not_worse": f"{harmless}, and is not shown to help." if mixed else f"{harmless} {instead}",
        "undecided": f"The holdout cannot tell whether {what} helps"
        + (f"; {why}, so the mix is emitted." if mixed else f"{unsure}so the dataset is the real rows alone."),
        "worse": f"{what.capitalize()} makes {model} worse"
        + (f"; the mix is emitted because {why}." if mixed else ", so the dataset is the real rows alone."),
    }
    return sentences[verdict["name"]]


def title_words(results: Mapping[str, Any]) -> str:
    """Return the verdict's name; where there is no mix, or one of several models refuses it, what is left."""
    verdict = results["verdict"]
    refused = any(m.get("refuses") for m in results.get("models") or ())
    # What the first model has to say is no title where another refuses the mix.
    alone = plan_of(results["selected"]["plan"]).real_only or (refused and verdict["emitted"] == "real_only")
    return "real rows alone" if alone else str(verdict["name"])


def emitted_words(results: Mapping[str, Any]) -> str:
    """Say what the dataset holds, in a few words."""
    if results["verdict"]["emitted"] == "real_only":
        return "Emitted: real rows only"
    ratio = plan_of(results["selected"]["plan"]).ratio
    return "Emitted: real + synthetic rows" if ratio else "Emitted: weighted real rows"


def protocol_words(results: Mapping[str, Any]) -> str:
    """Say what was certified, and what was refitted afterwards."""
    certified = (
        "Certified: the mix built from development rows, on holdout rows that neither the search nor any synthesizer, "
        "scorer or teacher had seen."
    )
    if plan_of(results["selected"]["plan"]).real_only:
        return "Nothing was certified, since no mix was selected. Emitted: all real rows, as they are."
    if results["verdict"]["emitted"] == "mix":
        return f"{certified} Emitted: the same plan refitted on all real rows, those of the holdout included."
    return f"{certified} Emitted: all real rows, as they are."


def judged_words(results: Mapping[str, Any]) -> str:
    """Say, in a label, what was held against the real rows alone."""
    plan = plan_of(results["selected"]["plan"])
    if plan.real_only:
        return "selected: real rows"
    what = "with the mix" if plan.ratio else "with weights"
    return what if results["verdict"]["emitted"] == "mix" else f"{what} (not emitted)"


def change_words(results: Mapping[str, Any], before: Any, after: Any) -> str:
    """Say how the metric moves, relative to where it was; empty where that is not defined."""
    metric = results["metric"]
    direction = "higher is better" if metric["greater_is_better"] else "lower is better"
    if not (known(before) and known(after) and before > 0):
        return direction
    moved = (after - before) / before
    return f"{share(abs(moved))} {'higher' if moved > 0 else 'lower'}; {direction}"


def plan_words(plan: MixPlan, task: str, form: str) -> list[str]:
    """Return a plan as sentences, one a setting that matters."""
    by_class = _weight_words(plan)
    if plan.ratio == 0:
        return ["Real rows only; no synthetic row is added.", *by_class]
    asked = joined(f"{ratio:g} rows of {source}" for source, ratio in plan.ratios)
    weight = f"One synthetic row weighs {plan.synthetic_weight:.2f} of a real row"
    out = [
        f"For each real row: {asked}.",
        label_words(plan.labels, task, form),
        f"{weight}, so that the mix asks for {plan.mass:.2f} of synthetic weight per unit of real weight.",
    ]
    if task != "regression":
        out.append(f"{tilt_words(plan.class_tilt)}.")
    out.extend(by_class)
    if plan.thresholds:
        limits = joined(f"{name} below {value:.3f}" for name, value in plan.thresholds)
        out.append(f"Candidates are dropped at {limits}.")
    else:
        out.append("No candidate is dropped for its scores.")
    if plan.settings:
        out.append(f"The estimator that goes with it: {settings_words(plan.settings)}.")
    return out


def _weight_words(plan: MixPlan) -> list[str]:
    share = f"(1 / share of their class) to the power {plan.rare_exponent:.2f}"
    number = f"one over the effective number of their class's rows (beta {plan.effective_beta:.4g})"
    hard = f"1 + {plan.hardness:.2f} times the teacher's error out of fold"
    odds = f"their odds of being real to the power {plan.importance:.2f}"
    kinds = (
        (plan.rare_exponent, "Rows", share),
        (plan.effective_beta, "Rows", number),
        (plan.hardness, "Real rows", hard),
        (plan.importance, "Synthetic rows", odds),
    )
    return [f"{who} weigh {what}, capped and normalised." for value, who, what in kinds if value > 0]


def settings_words(settings: Iterable[tuple[str, Any]]) -> str:
    """Return settings of an estimator, three digits of each number.

    Examples
    --------
    >>> settings_words([("C", 0.12345), ("max_iter", 50)])
    'C 0.123 and max_iter 50'
    """
    return joined(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings)


def label_words(policy: str, task: str, form: str) -> str:
    """Say where synthetic rows have their labels from."""
    if policy == "keep":
        return "Synthetic rows keep the label that their synthesizer gave them."
    if policy == "filter":
        return "Synthetic rows keep their synthesizer's label, and are dropped where the teacher doubts it."
    if task == "regression":
        return "Synthetic rows carry the teacher's prediction as their target."
    forms = {
        "weighted": "once for each likely class, weighted by its probability",
        "sampled": "once, with a class drawn from its probabilities",
        "argmax": "once, with its likeliest class",
    }
    return f"Synthetic rows are labelled by the teacher: each is written {forms.get(form, form)}."


def tilt_words(tilt: float) -> str:
    """Say in what proportion classes are drawn."""
    if tilt < 0.005:
        return "Classes are drawn in their real proportion"
    if tilt > 0.995:
        return "Classes are drawn alike"
    return f"Classes are drawn by share to the power {1 - tilt:.2f} (1 is their real proportion, 0 all alike)"


def sdv_sources(recipe: Mapping[str, Any]) -> list[str]:
    """Return the sources of a resolved recipe that SDV stands behind."""
    named = [s if isinstance(s, dict) else {"name": s} for s in recipe.get("synthesizers") or []]
    return sorted({str(s["name"]) for s in named if s.get("name") in SDV_SYNTHESIZERS})


def _harmed(results: Mapping[str, Any]) -> bool:
    return any(s["verdict"] == "worse" for s in results["slices"])


def _without_minus_zero(value: float, decimals: int) -> float:
    return round(float(value), decimals) + 0.0


def worth_words(results: Mapping[str, Any]) -> str:
    """Return what the gain is worth in real rows, in a sentence; empty where nothing was measured or gained."""
    worth, plan = results.get("worth"), plan_of(results["selected"]["plan"])
    if not isinstance(worth, Mapping) or not worth.get("law") or plan.real_only:
        return ""
    farthest, low, high = worth["farthest"], worth["low"], worth["high"]
    if worth["law"]["scale"] <= 0:
        what = "the mix is" if plan.ratio else "weights are"
        return f"how many real rows {what} worth cannot be told: real rows alone gain nothing here by being more"
    start = f"{worth['rows']:,} real rows with {'the mix' if plan.ratio else 'weights'} do as well as"
    if worth["equivalent_rows"] is None:
        least = "" if low is None else f" (95 %: {low:,} at least)"
        return f"{start} more than {farthest:,} real rows alone{least}"
    if low is None:
        return f"{start} about {worth['equivalent_rows']:,} real rows alone, give or take what cannot be told"
    end = f"over {farthest:,}" if high is None else f"{high:,}"
    return f"{start} about {worth['equivalent_rows']:,} real rows alone (95 %: {low:,} to {end})"


def privacy_words(results: Mapping[str, Any]) -> str:
    """Return what the privacy gate says, and what that is not; empty where no export was asked for."""
    privacy = results.get("privacy")
    if not privacy:
        return ""
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in privacy["notes"])
    return f"{privacy['sentence']}{notes} {privacy['limits']}"


def transfer_words(results: Mapping[str, Any]) -> str:
    """Return how the dataset does for other models, in a line; empty where that was not measured."""
    parts = []
    for found in (*(results.get("models") or ()), *(results.get("transfer") or ())):
        places = decimals_for(found["real_only"]["mean"], found["curated"]["mean"])
        verdict = VERDICTS.get(found["verdict"], found["verdict"]).lower()
        parts.append(f"{found['estimator']} {signed(found['difference']['mean'], places)} ({verdict})")
    return ", ".join(parts)
