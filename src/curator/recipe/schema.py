"""The recipe's JSON Schema, for editors and other programs."""

from __future__ import annotations

from typing import Any

from curator.recipe.models import Recipe


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe, with the short forms that YAML recipes use."""
    schema = Recipe.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "curator recipe"
    definitions = schema["$defs"]
    # `missing: [-999]` is read as the text it is.
    definitions["DataSpec"]["properties"]["missing"]["items"] = {"type": ["string", "number"]}
    task = definitions["TaskSpec"]["properties"]
    task["estimator"]["items"] = {"anyOf": [{"type": "string"}, task["estimator"]["items"]]}
    for name in ("estimator", "metric"):
        # One is written without a list.
        several = {key: task[name].pop(key) for key in ("type", "items")}
        task[name]["anyOf"] = [*several["items"].get("anyOf", [several["items"]]), {**several, "minItems": 1}]
    synthesizers = schema["properties"]["synthesizers"]
    synthesizers["items"] = {"anyOf": [{"type": "string"}, synthesizers["items"]]}
    for name in FILTERS:
        # YAML 1.1 reads a bare `off` as false, so an editor must let it pass.
        definitions["FilterSpec"]["properties"][name]["anyOf"].append({"const": False})
    definitions["RareSpec"]["properties"]["weights"]["anyOf"].append({"const": False})
    return schema


FILTERS = ("realism", "agreement", "novelty", "typicality")
