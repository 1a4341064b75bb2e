"""Where more rows stop helping, and where they begin to harm."""

import pytest

from curator.growth import turning_points
from curator.records import Interval
from curator.report.growth import growth_figure, growth_words


def points(*gains, error=0.01, reach=0.02):
    doses = (0.5, 1.0, 2.0, 5.0, 10.0)
    return [
        {"ratio": d, "rows": round(100 * (1 + d)), "score": 0.5 - g, "error": error,
         "gain": Interval(g, g - reach, g + reach, 5)}
        for d, g in zip(doses, gains, strict=False)
    ]  # fmt: skip


def test_more_stops_helping_within_one_standard_error_of_the_best():
    found = turning_points(points(0.02, 0.05, 0.095, 0.1, 0.09))
    assert found == {"best": 5.0, "stops": 2.0, "harms_from": None}


def test_harm_begins_where_every_greater_ratio_does_harm_too():
    found = turning_points(points(0.01, -0.03, 0.005, -0.05, -0.2))
    assert found == {"best": 0.5, "stops": 0.0, "harms_from": 5.0}


def test_what_helps_at_no_ratio_stops_at_none():
    assert turning_points(points(-0.1, -0.1, -0.1)) == {"best": 0.0, "stops": 0.0, "harms_from": 0.5}


def test_a_gain_that_may_be_chance_is_no_help():
    assert turning_points(points(0.005, 0.01, 0.015)) == {"best": 2.0, "stops": 0.0, "harms_from": None}


def test_a_loss_that_may_be_chance_is_no_harm():
    assert turning_points(points(-0.01, -0.015, reach=0.02))["harms_from"] is None


def test_an_undefined_gain_is_passed_over():
    found = turning_points(points(float("nan"), 0.05, 0.1, error=float("nan")))
    assert (found["best"], found["stops"]) == (2.0, 2.0)


@pytest.fixture
def growth():
    ways = {"naive": points(-0.1, -0.2, -0.3), "curated": points(0.05, 0.1, 0.1)}
    real = [{"rows": n, "score": Interval(0.6 - n / 1000, 0.5, 0.7, 5)} for n in (20, 60, 100)]
    as_written = lambda p: p | {"gain": vars(p["gain"])}  # noqa: E731  # as it stands in results.json
    return {
        "real": [r | {"score": vars(r["score"])} for r in real],
        **{name: {"points": [as_written(p) for p in own], **turning_points(own)} for name, own in ways.items()},
    }


def test_words_tell_both_ways(growth):
    naive, curated = growth_words(growth).split("; ")
    assert naive == "naive rows are shown to help at no size and do harm from 0.5 a real row on"
    assert curated == "curated rows stop helping at 1 a real row"
    assert growth_words(None) == ""
    growth["naive"] = {"points": [], **turning_points([])}
    assert growth_words(growth) == curated, "of what was not measured nothing is said"


def test_the_figure_goes_on_from_the_real_rows(growth):
    figure = growth_figure(growth, "log_loss")
    real, naive, curated = figure.spec["data"]
    assert real["x"][-1] == naive["x"][0] == curated["x"][0] == 100
    assert naive["y"][0] == pytest.approx(0.5)
    assert growth_figure(None, "log_loss") is None
