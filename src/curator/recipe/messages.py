"""Turning validation errors into sentences for the user."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from curator.errors import Problem
from curator.recipe.models import Recipe

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


def problems_of(error: ValidationError, raw: Any = None) -> list[Problem]:
    """Return one problem for each place that is wrong, in words; places are those of `raw`, what the user wrote."""
    by_path: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_path.setdefault(_key_path(detail), []).append(detail)
    return [
        Problem(as_written(path, raw), _sentence(path, details))
        for path, details in by_path.items()
        # Of a mapping that stands for a setting in full, what is wrong within it says more than what it is not.
        if not (isinstance(_at(raw, path), dict) and any(p[: len(path)] == path != p for p in by_path))
    ]


def _at(raw: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list | tuple) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
    return raw


def as_written(path: tuple[str | int, ...], raw: Any) -> tuple[str | int, ...]:
    """Leave out positions in a list where the user wrote its one element without one."""
    out: list[str | int] = []
    for step in path:
        if isinstance(step, int) and raw is not None and not isinstance(raw, list | tuple):
            continue
        out.append(step)
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list | tuple) and isinstance(step, int):
            raw = raw[step] if step < len(raw) else None
    return tuple(out)


def _key_path(detail: ErrorDetails) -> tuple[str | int, ...]:
    """Keep the keys a user wrote; pydantic adds the names of union members behind them."""
    path: list[str | int] = []
    model: Any = Recipe
    for step in detail["loc"]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            path.append(step)
            model = _field_type(model, str(step))
        elif isinstance(step, int):
            path.append(step)
            model = _item_type(model)
        elif (member := _member(model, str(step))) is not None:
            model = member
        elif detail["type"] == "extra_forbidden" or _is_mapping(model):
            path.append(step)
            model = None
        else:
            break
    return tuple(path)


def _member(annotation: Any, name: str) -> Any:
    """Return the model of a union that pydantic calls by this name."""
    return next((m for m in _models(annotation) if m.__name__ in name), None)


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]


def _field_type(model: type[BaseModel], key: str) -> Any:
    for name, info in model.model_fields.items():
        if key in {name, info.alias}:
            return info.annotation
    return None


def _item_type(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return arguments[0] if arguments else None


def _is_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict


def _sentence(path: tuple[str | int, ...], details: list[ErrorDetails]) -> str:
    if len(details) == 1:
        return _one(path, details[0])
    # A union: each member said why not. Choices and bounds tell more than types.
    literals = [d for d in details if d["type"] == "literal_error"]
    others = [d for d in details if d["type"] != "literal_error"]
    bounds = [d for d in others if d["type"] not in _WANTED]
    if bounds:
        return _one(path, bounds[0])
    wanted = list(dict.fromkeys(_WANTED.get(d["type"], d["msg"]) for d in others))
    choices = [str(c).strip("'") for d in literals for c in str(d["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
    value = details[0]["input"]
    return f"must be {', '.join(wanted)}{' or ' if wanted and choices else ''}{_any(choices)}; got {_shown(value)}" + (
        _near(value, choices)
    )


def _any(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}" if choices else ""


def _near(value: Any, choices: list[str]) -> str:
    near = [] if str(value) in choices else difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _one(path: tuple[str | int, ...], detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is required; add it"
    if kind == "extra_forbidden":
        known = _siblings(path)
        return f"unknown key{_near(path[-1], known)}{' Known here: ' + ', '.join(known) if known else ''}".replace(
            "key Known", "key. Known"
        )
    if kind == "literal_error":
        choices = [c.strip("'") for c in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"must be {_any(choices)}; got {_shown(value)}{_near(value, choices)}"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}; got {_shown(value)}"
    bounds = {
        "greater_than": "above",
        "greater_than_equal": "at least",
        "less_than": "below",
        "less_than_equal": "at most",
    }
    if kind in bounds:
        limit = next(iter(context.values()))
        return f"must be {bounds[kind]} {limit:g}; got {_shown(value)}"
    if kind == "string_pattern_mismatch":
        return f"may hold letters, digits, '.', '_' and '-' only, 64 at most; got {_shown(value)}"
    if kind == "value_error":
        return str(context["error"])
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}; got {_shown(value)}"


def _siblings(path: tuple[str | int, ...]) -> list[str]:
    model: Any = Recipe
    for step in path[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = _field_type(model, str(step))
        else:
            model = _item_type(model)
    # Of a union whose members are values and one model, the keys are that model's.
    model = next(iter(_models(model)), model)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [info.alias or name for name, info in model.model_fields.items()]
    return []
