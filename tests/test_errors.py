import doctest

import pytest

from curator import errors
from curator.errors import (
    CuratorError,
    DataError,
    Problem,
    RecipeError,
    RecipeProblems,
    RunDirectoryError,
    UserError,
    unknown_name,
)


def test_examples_in_the_docstrings_are_true():
    results = doctest.testmod(errors)
    assert (results.failed, results.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CuratorError("full"), 1),
        (UserError("wrong"), 2),
        (DataError("wrong"), 2),
        (RunDirectoryError("wrong"), 2),
        (RecipeError(["x.yaml:1:1: wrong"]), 2),
        (RecipeProblems([Problem(("data",), "wrong")]), 2),
    ],
)
def test_users_mistakes_exit_with_2_and_the_rest_with_1(error, code):
    assert error.exit_code == code
    assert isinstance(error, CuratorError)


def test_a_recipe_error_shows_one_line_a_mistake():
    error = RecipeError(line for line in ("a.yaml:1:1: x: wrong", "a.yaml:2:1: y: wrong"))
    assert str(error) == "a.yaml:1:1: x: wrong\na.yaml:2:1: y: wrong"
    assert error.lines == ("a.yaml:1:1: x: wrong", "a.yaml:2:1: y: wrong")


def test_problems_show_their_place_with_dots():
    error = RecipeProblems([Problem(("synthesizers", 2, "epochs"), "must be above 0"), Problem(("task",), "is odd")])
    assert str(error) == "synthesizers.2.epochs: must be above 0; task: is odd"


def test_an_unknown_name_without_a_near_one_lists_the_known_in_order():
    assert unknown_name("column", "zzz", ["beta", "alpha"]) == "unknown column 'zzz'; Known: alpha, beta"


def test_an_unknown_name_offers_the_nearest_one():
    assert unknown_name("estimator", "random_forrest", ["ridge", "random_forest"]) == (
        "unknown estimator 'random_forrest'; did you mean 'random_forest'? Known: random_forest, ridge"
    )
