"""The names a recipe may use. Registries stand on higher floors, so whoever loads a recipe hands their checks in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationInfo

if TYPE_CHECKING:
    from curator.recipe.task import EstimatorSpec


class Vocabulary(Protocol):
    """Checks that raise `ValueError` with a sentence when a name or a setting is unknown."""

    def check_metric(self, name: str, task_type: str) -> None:
        """Check the name of a metric; `task_type` may be ``auto``."""

    def check_estimator(self, spec: EstimatorSpec) -> None:
        """Check that the estimator can be imported and takes its parameters."""

    def check_synthesizer(self, name: str, params: dict[str, Any]) -> None:
        """Check the name of a synthesizer and its settings."""

    def check_scorer(self, name: str) -> None:
        """Check the name of a scorer."""


class AnyName:
    """Accepts every name: used for defaults and where a recipe is read only for its structure."""

    def check_metric(self, name: str, task_type: str) -> None:
        """Accept."""

    def check_estimator(self, spec: EstimatorSpec) -> None:
        """Accept."""

    def check_synthesizer(self, name: str, params: dict[str, Any]) -> None:
        """Accept."""

    def check_scorer(self, name: str) -> None:
        """Accept."""


def vocabulary_of(info: ValidationInfo) -> Vocabulary:
    """Return the vocabulary handed to validation, or one that accepts everything."""
    context = info.context or {}
    vocabulary: Vocabulary = context.get("vocabulary") or AnyName()
    return vocabulary
