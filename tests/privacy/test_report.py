"""Sentences say what is shown, what is not, and no more."""

from curator.privacy.report import PrivacyFigure, PrivacyReport


def fig(name="auc", attack="distance", value=0.5, low=0.4, high=0.6, floor=0.3, bound=0.55, **more):
    rows = more.pop("rows", "all")
    return PrivacyFigure(name, attack, rows, value, low, high, floor, bound, 900, 300, **more)


def report(*figures, judged=(900, 300)):
    return PrivacyReport(figures, 1000, 900, 300, judged, (0, 0))


def test_what_is_above_its_bound_by_estimate_is_named_first_and_in_full():
    risks = [
        fig("attribute", c, value=v, low=-0.1, floor=-0.2, bound=0.05)
        for c, v in zip("abcde", (0.01, 0.02, 0.2, 0.3, 0.4), strict=True)
    ]
    said = report(fig(high=0.54, core=True), *risks).sentence
    assert said.startswith("Passed: no attack that was tried is shown to do more than the recipe allows")
    above = said.partition("Above its bound by estimate, though that is not shown: ")[2].partition(". Not shown")[0]
    assert all(f"risk that '{c}' is guessed 0.{v}" in above for c, v in zip("cde", "234", strict=True))
    assert "risk that 'a'" in said.partition("Not shown either way: ")[2]


def test_what_was_not_measured_is_said():
    tail = fig(value=None, low=None, high=None, floor=None, rows="tail")
    said = report(fig(high=0.54, core=True), tail).sentence
    assert "AUC of membership inference by distance, most isolated 5 % not measured" in said


def test_more_rows_are_advised_only_where_they_would_be_used():
    assert "More rows" in report(fig(core=True)).sentence
    assert "More rows" not in report(fig(core=True), judged=(4000, 4000)).sentence
