import pytest

from curator.errors import RecipeError
from curator.recipe import build_recipe


def lines(raw):
    with pytest.raises(RecipeError) as caught:
        build_recipe({"data": {"target": "y"}, **raw})
    return [line.removeprefix("recipe: ") for line in caught.value.lines]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"name": "a b"}, "name: may hold letters, digits, '.', '_' and '-' only, 64 at most; got 'a b'"),
        ({"version": 2}, "version: must be 1; got 2"),
        ({"labels": "kep"}, "labels: must be one of keep, filter, relabel, search; got 'kep'; did you mean 'keep'?"),
        ({"output": 3}, "output: must be a mapping of keys to values; got 3"),
        ({"task": None}, "task: must be a mapping of keys to values; got None"),
        ({"synthesizers": "neighbours"}, "synthesizers: must be a list; got 'neighbours'"),
        ({"synthesizers": [3]}, "synthesizers.0: must be a mapping of keys to values; got 3"),
        ({"synthesizers": [{"epochs": 3}]}, "synthesizers.0.name: is required; add it"),
        *(
            (
                {"synthesizers": [{"name": "tvae", "epochs": [5, odd]}]},
                f"synthesizers.0: epochs must be whole numbers of at least 1; got {odd!r}",
            )
            for odd in ([1], 2.5, 0, True, "5", None)
        ),
        ({"synthesizers": ["a", "a"]}, "synthesizers: two synthesizers are called 'a'; give one of them another id"),
        ({"synthesizers": ["real"]}, "synthesizers.0: a source cannot be called 'real'; give it another id"),
        *(
            (
                {"synthesizers": [{"name": "neighbours", "id": odd}]},
                f"synthesizers.0: the id {odd!r} is not made of up to 64 letters, digits, '.', '_' and '-', beginning "
                "with one of the first two",
            )
            for odd in ("a/b", "../up", "x" * 65, "-a", "")
        ),
        ({"task": {"metric": 3}}, "task.metric: must be a text; got 3"),
        ({"task": {"folds": 1}}, "task.folds: must be at least 2; got 1"),
        ({"task": {"folds": 99}}, "task.folds: must be at most 50; got 99"),
        ({"task": {"holdout": 0}}, "task.holdout: must be above 0; got 0"),
        ({"task": {"holdout": 0.95}}, "task.holdout: must be below 0.9; got 0.95"),
        ({"task": {"repeats": "often"}}, "task.repeats: must be a whole number or auto; got 'often'"),
        ({"task": {"repeats": 50}}, "task.repeats: must be between 1 and 20, or auto; got 50"),
        (
            {"task": {"positive": [1]}},
            "task.positive: must be a text, a whole number, a number, true or false; got [1]",
        ),
        (
            {"task": {"estimator": {"nam": "x"}}},
            "task.estimator.nam: unknown key; did you mean 'name'? Known here: name, class, params",
        ),
        (
            {"task": {"estimator": {"name": "a", "class": "b"}}},
            "task.estimator: give either a short `name` or a `class`, e.g. {class: lightgbm.LGBMClassifier}",
        ),
        (
            {"task": {"estimator": ["ridge", {"nam": "x"}]}},
            "task.estimator.1.nam: unknown key; did you mean 'name'? Known here: name, class, params",
        ),
        ({"task": {"estimator": []}}, "task.estimator: is empty; name a model, or leave it out"),
        ({"task": {"estimator": ["ridge", "ridge"]}}, "task.estimator: ridge is named twice; keep one of them"),
        (
            {"task": {"estimator": ["ridge", "knn"], "tune": True}},
            "task.tune: works with one estimator; with several leave it out, or give each its settings in params",
        ),
        ({"task": {"metric": []}}, "task.metric: is empty; name a metric, or leave it out"),
        ({"task": {"metric": ["f1", 3]}}, "task.metric.1: must be a text; got 3"),
        ({"task": {"metric": ["f1", "f1"]}}, "task.metric: f1 is named twice; keep one of them"),
        (
            {"filters": {"realism": "serch"}},
            "filters.realism: must be a number or one of search, off; got 'serch'; did you mean 'search'?",
        ),
        ({"filters": {"novelty": 2}}, "filters.novelty: must be below 1; got 2"),
        ({"filters": {"novelty": None}}, "filters.novelty: must be a number or one of search, off; got None"),
        ({"rare": {"weights": -1}}, "rare.weights: must be at least 0; got -1"),
        ({"rare": {"discover": "maybe"}}, "rare.discover: must be true or false; got 'maybe'"),
        ({"rare": {"slices": [{"name": "a"}]}}, "rare.slices.0.where: is required; add it"),
        (
            {"rare": {"slices": [{"name": "a", "where": "b"}] * 2}},
            "rare.slices: two slices are called 'a'; give each its own name",
        ),
        (
            {"search": {"jobs": "autos"}},
            "search.jobs: must be a whole number or auto; got 'autos'; did you mean 'auto'?",
        ),
        ({"search": {"jobs": 0}}, "search.jobs: must be at least 1, or auto; got 0"),
        ({"search": {"trials": 2.5}}, "search.trials: must be a whole number; got 2.5"),
        ({"data": {"target": "y", "drop": "a"}}, "data.drop: must be a list; got 'a'"),
        (
            {"data": {"target": "y", "types": {"a": "numeric"}}},
            "data.types.a: must be one of numerical, categorical, boolean, datetime, id, text; got 'numeric'; "
            "did you mean 'numerical'?",
        ),
        (
            {"data": {"target": "y", "drop": ["y"]}},
            "data: the target 'y' is also listed in drop; take it out of one of them",
        ),
        (
            {"data": {"target": "y", "group": "y"}},
            "data: column 'y' is given more than one role among target, group, time and weight",
        ),
        (
            {"data": {"target": "y", "query": "a", "table": "b"}},
            "data: query and table are both given; keep one of them",
        ),
        (
            {"data": {"target": "y"}, "rare": {"weights": {"clases": 1}}},
            "rare.weights.clases: unknown key; did you mean 'classes'? Known here: classes, effective_number, "
            "errors, density",
        ),
        (
            {"data": {"target": "y"}, "rare": {"weights": {"errors": 20}}},
            "rare.weights.errors: must be at most 10; got 20",
        ),
        (
            {"data": {"target": "y"}, "rare": {"weights": {"classes": 0.5, "effective_number": 0.9}}},
            "rare.weights: classes and effective_number both weigh by class; leave one of them out",
        ),
        (
            {"data": {"target": "y"}, "filters": {"agreement": {"threshold": 3}}},
            "filters.agreement.threshold: must be below 1; got 3",
        ),
        ({"data": {}}, "data.target: is required; add it"),
        (
            {"tsk": {}},
            "tsk: unknown key; did you mean 'task'? Known here: version, name, data, task, synthesizers, labels, "
            "filters, rare, integrity, search, output",
        ),
        (
            {"data": {"target": "y", "zzz": 1}},
            "data.zzz: unknown key. Known here: source, query, table, target, drop, types, missing, group, time, "
            "weight, budget, license, provenance",
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_a_mistake_becomes_a_sentence(raw, line):
    assert lines(raw) == [line]


def test_the_name_of_a_slice_may_not_be_empty():
    (line,) = lines({"rare": {"slices": [{"name": "", "where": "a > 1"}]}})
    assert line.startswith("rare.slices.0.name: ")
    assert line.endswith("got ''")


def test_a_near_miss_in_type_is_not_offered_as_what_was_written():
    assert lines({"version": "1"}) == ["version: must be 1; got '1'"]


def test_long_values_are_cut():
    (line,) = lines({"search": {"seed": "x" * 200}})
    assert line == f"search.seed: must be a whole number; got '{'x' * 56}..."


def test_one_place_gives_one_line_however_many_ways_it_fails():
    raw = {"filters": {"realism": "a", "novelty": "b"}, "rare": {"weights": "c"}, "search": {"jobs": "d", "seed": "e"}}
    assert sorted(line.split(":")[0] for line in lines(raw)) == [
        "filters.novelty", "filters.realism", "rare.weights", "search.jobs", "search.seed",
    ]  # fmt: skip


def test_no_sentence_speaks_of_pydantic():
    raw = {
        "data": {"target": ["y"], "source": {}, "missing": [None], "types": [], "drop": {}},
        "task": {"estimator": 3, "tune": [], "type": None},
        "synthesizers": {},
        "rare": {"slices": [3], "tolerance": "x"},
        "filters": [],
        "search": {"timeout": "x", "max_ratio": 0, "storage": 1},
    }
    found = lines(raw)
    assert len(found) == 15
    for line in found:
        assert ": must be " in line
        assert "Input should" not in line
        assert "pydantic" not in line.lower()
