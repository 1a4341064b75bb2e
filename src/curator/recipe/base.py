"""What all sections of a recipe have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A section: unknown keys are mistakes, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True)


def repeated(values: Sequence[str]) -> str | None:
    """Return the first, by the alphabet, of those that are there more than once; None where all differ."""
    return min((v for v in values if values.count(v) > 1), default=None)


def off(value: Any) -> Any:
    """YAML 1.1 reads a bare ``off`` as false."""
    return "off" if value is False else value
