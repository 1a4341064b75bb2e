"""Reading recipes: YAML with positions, environment variables, overrides, and errors that name the place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from curator.errors import Problem, RecipeError, RecipeProblems, UserError
from curator.recipe.messages import as_written, problems_of
from curator.recipe.models import Recipe
from curator.recipe.origin import KeyPath, Origin
from curator.recipe.vocabulary import Vocabulary

MOST_LEVELS, MOST_KEYS = 20, 20_000
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_recipe(
    path: str | os.PathLike[str],
    *,
    overrides: Iterable[str] = (),
    vocabulary: Vocabulary | None = None,
) -> Recipe:
    """Read and validate a recipe file.

    Parameters
    ----------
    path : path
        A YAML file.
    overrides : iterable of str
        ``key.path=value`` pairs, the value read as YAML; they win over the file.
    vocabulary : Vocabulary, optional
        Checks of names; without it every metric, estimator and synthesizer name passes.

    Raises
    ------
    RecipeError
        With one line for each mistake.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such recipe; `curator init DATA --target COLUMN` writes one") from None
    except IsADirectoryError:
        raise UserError(f"{file}: is a folder, not a recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a UTF-8 text file ({error})") from None
    raw, positions = _parse(file, text)
    return build_recipe(raw, Origin(file=file, positions=positions), overrides=overrides, vocabulary=vocabulary)


def build_recipe(
    raw: Mapping[str, Any],
    origin: Origin | None = None,
    *,
    overrides: Iterable[str] = (),
    vocabulary: Vocabulary | None = None,
) -> Recipe:
    """Validate a recipe given as a mapping; see `load_recipe`."""
    origin = origin or Origin()
    content = _copy(raw)
    overridden = set()
    problems: list[Problem] = []
    for override in overrides:
        overridden.add(_override(content, override))
    secrets: dict[KeyPath, str] = {}
    content = _expand(content, (), secrets, problems)
    origin = Origin(origin.file, origin.positions, frozenset(overridden), secrets)
    try:
        recipe = Recipe.model_validate(content, context={"vocabulary": vocabulary})
    except ValidationError as error:
        raise origin.error([*problems, *problems_of(error, content)]) from None
    if problems:
        raise origin.error(problems)
    return recipe.with_origin(origin)


def check_names(recipe: Recipe, vocabulary: Vocabulary) -> Recipe:
    """Check the names in a recipe that was built in Python, e.g. by ``Recipe.model_validate``."""
    try:
        Recipe.model_validate(recipe.model_dump(by_alias=True), context={"vocabulary": vocabulary})
    except ValidationError as error:
        raise recipe.origin.error(problems_of(error, resolved(recipe))) from None
    return recipe


def located(recipe: Recipe, problems: RecipeProblems) -> RecipeError:
    """Give problems that a later check found the file, line and column they stand in."""
    return recipe.origin.error(problems.problems)


def dump_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML: all defaults filled in, ``${NAME}`` where it stood."""
    content = resolved(recipe)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def resolved(recipe: Recipe, *, secrets: bool = False) -> dict[str, Any]:
    """Return the recipe as plain data with all defaults filled in; ``${NAME}`` as it stood, but with `secrets`."""
    content: dict[str, Any] = recipe.model_dump(mode="json", by_alias=True, exclude_none=False)
    task = content["task"]
    for key in ("estimator", "metric"):
        # One is written without a list.
        task[key] = task[key][0] if len(task[key]) == 1 else task[key]
    for path, written in () if secrets else recipe.origin.secrets.items():
        _put_back(content, as_written(path, content), written)
    several = isinstance(task["estimator"], list)
    models = [_short(_without_empty(e)) for e in (task["estimator"] if several else [task["estimator"]])]
    task["estimator"] = models if several else models[0]
    content["synthesizers"] = [_without_empty(s) for s in content["synthesizers"]]
    return content


def _short(spec: Any) -> Any:
    return spec["name"] if isinstance(spec, dict) and set(spec) == {"name"} else spec


def _without_empty(spec: Any) -> Any:
    """Drop the keys of an estimator or a synthesizer that say nothing."""
    return {k: v for k, v in spec.items() if v is not None and v != {}} if isinstance(spec, dict) else spec


def _put_back(content: Any, path: KeyPath, written: str) -> None:
    for key in path[:-1]:
        content = content[key]
    if isinstance(content, dict | list):
        content[path[-1]] = written  # type: ignore[index]


def _parse(file: Path, text: str) -> tuple[dict[str, Any], dict[KeyPath, tuple[int, int]]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise RecipeError([f"{file}{place}: not valid YAML: {error.problem or error.context}"]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError([f"{file}: not valid YAML: {error}"]) from None
    if not isinstance(content, dict):
        raise RecipeError([f"{file}:1:1: a recipe is a mapping that starts with `version: 1` and has a `data` section"])
    positions: dict[KeyPath, tuple[int, int]] = {}
    twice: list[str] = []
    _positions(node, (), positions, twice, file)
    if twice:
        raise RecipeError(twice)
    return content, positions


def _positions(
    node: yaml.Node | None, path: KeyPath, out: dict[KeyPath, tuple[int, int]], twice: list[str], file: Path
) -> None:
    # Aliases can make a recipe contain itself, or grow without bounds.
    if len(path) > MOST_LEVELS or len(out) > MOST_KEYS:
        raise RecipeError([f"{file}: nested too deeply or too large for a recipe; are its YAML aliases (*name) right?"])
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*path, str(key_node.value))
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if here in out:
                dotted = ".".join(map(str, here))
                twice.append(f"{file}:{place[0]}:{place[1]}: {dotted}: is given twice; keep one of them")
            out[here] = place
            _positions(value_node, here, out, twice, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*path, index)
            out[here] = (item.start_mark.line + 1, item.start_mark.column + 1)
            _positions(item, here, out, twice, file)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _copy(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(v) for v in value]
    # Of NumPy, what a computed grid of settings is made of.
    return _copy(value.tolist()) if isinstance(value, np.generic | np.ndarray) else value


def _expand(value: Any, path: KeyPath, secrets: dict[KeyPath, str], problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, (*path, k), secrets, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, (*path, i), secrets, problems) for i, v in enumerate(value)]
    if not isinstance(value, str) or not _VARIABLE.search(value):
        return value
    unset = sorted({name for name in _VARIABLE.findall(value) if name not in os.environ})
    if unset:
        problems.append(Problem(path, f"the environment variable {unset[0]} is not set; export it before the run"))
        return value
    secrets[path] = value
    return _VARIABLE.sub(lambda match: os.environ[match.group(1)], value)


def _override(content: dict[str, Any], override: str) -> KeyPath:
    dotted, equals, text = override.partition("=")
    keys = [k.strip() for k in dotted.split(".")]
    if not equals or not all(keys):
        raise UserError(f"--set {override}: write it as key=value, e.g. --set search.trials=20")
    try:
        value = yaml.safe_load(text) if text.strip() else None
    except yaml.YAMLError:
        raise UserError(f"--set {override}: the value is not valid YAML; quote it") from None
    path: list[str | int] = []
    place: Any = content
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise UserError(f"--set {override}: {'.'.join(map(str, path))} is a list of {len(place)}; count from 0")
            step: str | int = int(key)
            if not last and isinstance(place[int(key)], str):
                place[int(key)] = {"name": place[int(key)]}
        elif isinstance(place, dict):
            step = key
            if not last and not isinstance(place.get(key), dict | list):
                # A short form such as `estimator: ridge` opens up when a setting inside it is overridden.
                place[key] = {"name": place[key]} if isinstance(place.get(key), str) else {}
        else:
            raise UserError(f"--set {override}: {'.'.join(map(str, path))} has no keys")
        path.append(step)
        if last:
            place[step] = value
        else:
            place = place[step]
    return tuple(path)
