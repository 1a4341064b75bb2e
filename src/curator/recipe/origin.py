"""Where each key of a recipe was written, so that a mistake can be shown with its line and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curator.errors import Problem, RecipeError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """The source of a recipe.

    Attributes
    ----------
    file : Path or None
        The YAML file; None for a recipe built in Python.
    positions : mapping of key path to (line, column)
        Both counted from 1.
    overridden : frozenset of key path
        Keys that were set from outside the file (``--set``).
    secrets : mapping of key path to str
        Strings as written, for keys whose ``${NAME}`` was read from the environment.
    """

    file: Path | None = None
    positions: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)
    overridden: frozenset[KeyPath] = frozenset()
    secrets: Mapping[KeyPath, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What relative paths in the recipe are relative to."""
        return self.file.resolve().parent if self.file is not None else Path.cwd()

    def locate(self, problem: Problem) -> str:
        """Return one finished line for a problem."""
        dotted = ".".join(str(p) for p in problem.path)
        body = f"{dotted}: {problem.message}" if dotted else problem.message
        if any(_begins(problem.path, own) or _begins(own, problem.path) for own in self.overridden):
            return f"--set {body}"
        if self.file is None:
            return f"recipe: {body}"
        for length in range(len(problem.path), -1, -1):
            if problem.path[:length] in self.positions:
                line, column = self.positions[problem.path[:length]]
                return f"{self.file}:{line}:{column}: {body}"
        return f"{self.file}: {body}"

    def error(self, problems: list[Problem] | tuple[Problem, ...]) -> RecipeError:
        """Return one error for all problems, in the order of the file."""

        def order(problem: Problem) -> tuple[int, int]:
            for length in range(len(problem.path), -1, -1):
                if problem.path[:length] in self.positions:
                    return self.positions[problem.path[:length]]
            return (0, 0)

        return RecipeError(self.locate(p) for p in sorted(problems, key=order))


def _begins(path: KeyPath, start: KeyPath) -> bool:
    return len(start) > 0 and path[: len(start)] == start
