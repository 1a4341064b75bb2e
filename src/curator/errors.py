"""Every failure a user can meet, as a sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class CuratorError(Exception):
    """Something went wrong that is not the user's mistake (a full disk, a killed worker)."""

    exit_code = 1


class UserError(CuratorError):
    """The user's input is wrong: a recipe, a table, an argument."""

    exit_code = 2


class DataError(UserError):
    """The table cannot be used as the recipe asks."""


class RunDirectoryError(UserError):
    """A path does not hold the run that was asked for, or holds something else."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe.

    Attributes
    ----------
    path : tuple of str or int
        Where in the recipe, e.g. ``("task", "metric")`` or ``("synthesizers", 2, "epochs")``.
    message : str
        What is wrong and what to do, without the place.
    """

    path: tuple[str | int, ...]
    message: str


class RecipeError(UserError):
    """One or more mistakes in a recipe, each with its place.

    Parameters
    ----------
    lines : iterable of str
        One finished line a mistake, e.g. ``recipes/x.yaml:12:5: task.metric: unknown metric 'logloss'; ...``.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class RecipeProblems(UserError):  # noqa: N818  # it holds Problems
    """Mistakes found by a check that knows recipe keys but not the file they stand in; `Recipe.located` adds it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in self.problems))


class Mistakes:
    """What checks that do not need one another find wrong in a recipe, so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep the problems that the block raises, and go on behind it."""
        try:
            yield
        except RecipeProblems as error:
            self._found += error.problems

    @property
    def error(self) -> RecipeProblems:
        """All that was found."""
        return RecipeProblems(self._found)

    def refuse(self) -> None:
        """Raise all that was found, if anything was."""
        if self._found:
            raise self.error


def reason_of(error: BaseException) -> str:
    """Return what an exception of another library says, in one line."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def one_line(text: str) -> str:
    r"""Return a text on one line; names of columns may hold line breaks.

    Examples
    --------
    >>> print(one_line("net\nweight"))
    net\nweight
    """
    return "\\n".join(text.splitlines())


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, offer the nearest known one, and list them all.

    Examples
    --------
    >>> unknown_name("metric", "logloss", ["log_loss", "roc_auc"])
    "unknown metric 'logloss'; did you mean 'log_loss'? Known: log_loss, roc_auc"
    """
    names = sorted(known)
    near = [n for n in names if n.lower() == name.lower()] or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {what} {name!r}; {hint}Known: {', '.join(names)}"
