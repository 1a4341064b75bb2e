from pathlib import Path

import jsonschema
import pytest
import yaml

from curator.errors import RecipeError
from curator.recipe import Recipe, build_recipe, dump_recipe, recipe_schema

DATA = {"target": "y"}


@pytest.fixture(scope="module")
def schema():
    return recipe_schema()


@pytest.fixture(scope="module")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


def test_it_is_a_valid_schema_that_names_its_draft(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["data"]


def test_it_describes_every_section(schema):
    assert set(schema["properties"]) == set(Recipe.model_fields)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_the_recipes_of_the_repository_fit(validator, path):
    assert [e.message for e in validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))] == []


ACCEPTED = {
    "least": {"data": DATA},
    "version": {"version": 1, "data": DATA},
    "name": {"name": "a-b_c.1", "data": DATA},
    "nulls": {"data": {**DATA, "source": None, "query": None, "group": None, "license": None}},
    "types": {"data": {**DATA, "types": {"a": "id", "b": "datetime"}, "drop": ["c"]}},
    "missing texts": {"data": {**DATA, "missing": ["?", "NA"]}},
    "missing numbers": {"data": {**DATA, "missing": [-999, 1.5, "?"]}},
    "estimator by name": {"data": DATA, "task": {"estimator": "ridge"}},
    "estimator with params": {"data": DATA, "task": {"estimator": {"name": "ridge", "params": {"alpha": 2}}}},
    "estimator params only": {"data": DATA, "task": {"estimator": {"params": {"max_iter": 3}}}},
    "estimator class": {"data": DATA, "task": {"estimator": {"class": "a.B", "params": {}}}},
    "repeats": {"data": DATA, "task": {"repeats": 3, "folds": 4, "holdout": 0.5, "tune": True}},
    "positive text": {"data": DATA, "task": {"positive": "yes"}},
    "positive flag": {"data": DATA, "task": {"positive": True}},
    "synthesizer names": {"data": DATA, "synthesizers": ["neighbours", "tvae"]},
    "synthesizer settings": {
        "data": DATA,
        "synthesizers": ["a", {"name": "tvae", "epochs": 3, "id": "t", "per_class": True}],
    },
    "no synthesizer": {"data": DATA, "synthesizers": []},
    "filters off": {
        "data": DATA,
        "filters": {"realism": False, "agreement": "off", "novelty": 0.2, "typicality": "search"},
    },
    "several": {"data": DATA, "task": {"estimator": ["a", {"name": "b", "params": {"c": 1}}], "metric": ["f1", "mae"]}},
    "weights off": {"data": DATA, "rare": {"weights": False}},
    "weights number": {"data": DATA, "rare": {"weights": 0.5, "slices": [{"name": "a", "where": "b > 1"}]}},
    "search": {"data": DATA, "search": {"jobs": 2, "timeout": 60, "storage": "sqlite:///x.db"}},
    "search auto": {"data": DATA, "search": {"jobs": "auto", "timeout": None, "seed": 0}},
    "output": {"data": DATA, "output": {"directory": "x", "format": "csv", "policy": "always", "labels": "sampled"}},
}


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_loader_accepts_fits(validator, raw):
    recipe = build_recipe(raw)
    assert [e.message for e in validator.iter_errors(raw)] == []
    assert [e.message for e in validator.iter_errors(yaml.safe_load(dump_recipe(recipe)))] == []


REFUSED = {
    "no data": {},
    "no target": {"data": {}},
    "version": {"version": 2, "data": DATA},
    "unknown section": {"data": DATA, "tsk": {}},
    "unknown key": {"data": {**DATA, "sorce": "x"}},
    "unknown kind": {"data": {**DATA, "types": {"a": "numeric"}}},
    "no estimator": {"data": DATA, "task": {"estimator": []}},
    "no metric": {"data": DATA, "task": {"metric": []}},
    "metric of another kind": {"data": DATA, "task": {"metric": ["rmse", 3]}},
    "estimator key": {"data": DATA, "task": {"estimator": {"nam": "ridge"}}},
    "synthesizer without a name": {"data": DATA, "synthesizers": [{"epochs": 3}]},
    "synthesizers no list": {"data": DATA, "synthesizers": "neighbours"},
    "holdout": {"data": DATA, "task": {"holdout": 0.9}},
    "folds": {"data": DATA, "task": {"folds": 1}},
    "filter word": {"data": DATA, "filters": {"realism": "on"}},
    "filter above": {"data": DATA, "filters": {"realism": 1}},
    "weights": {"data": DATA, "rare": {"weights": 2}},
    "policy": {"data": DATA, "output": {"policy": "sometimes"}},
    "name": {"name": "a b", "data": DATA},
    "trials": {"data": DATA, "search": {"trials": 0}},
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_the_loader_refuses_does_not_fit(validator, raw):
    with pytest.raises(RecipeError):
        build_recipe(raw)
    assert not validator.is_valid(raw)
