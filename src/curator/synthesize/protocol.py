"""What a synthesizer is, and the registry of those that recipes may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from curator.errors import unknown_name
from curator.table.model import TARGET
from curator.versions import code_version

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "TARGET",
    "ClassSampler",
    "Entry",
    "Synthesizer",
    "check_synthesizer",
    "find_synthesizer",
    "make_synthesizer",
    "synthesizer_version",
]


class Synthesizer(Protocol):
    """Learns from plain rows, and makes candidates that look like them.

    Rows are in plain form (`Table.plain`): float64 numbers or objects of str, NaN for missing, and in the column
    `TARGET` the class label as text or the value as a number. Everything is a function of rows, their order and seeds.
    """

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        """Learn from training rows; `categorical` names the columns of words, at classification also `TARGET`."""

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """Return at most `n` candidates with the columns of the training rows, in random order."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of this fit, e.g. a fall-back and its reason."""


@runtime_checkable
class ClassSampler(Protocol):
    """A synthesizer that can be told how many candidates of each class to make."""

    def sample_classes(self, counts: Mapping[str, int], *, seed: int) -> pd.DataFrame:
        """Return candidates by class label, in random order."""


@dataclass(frozen=True)
class Entry:
    """A registered synthesizer: where its class is, so that heavy packages are imported where they are used."""

    module: str
    attribute: str
    fixed: Mapping[str, Any]

    def load(self) -> Callable[..., Synthesizer]:
        """Import the class."""
        found: Callable[..., Synthesizer] = getattr(import_module(self.module), self.attribute)
        return found


def _sdv(kind: str) -> Entry:
    return Entry("curator.synthesize.sdv", "SDVSynthesizer", {"kind": kind})


SYNTHESIZERS: dict[str, Entry] = {
    "neighbours": Entry("curator.synthesize.neighbours", "Neighbours", {}),
    "smote": Entry("curator.synthesize.smote", "Smote", {}),
    "gaussian_copula": _sdv("gaussian_copula"),
    "ctgan": _sdv("ctgan"),
    "tvae": _sdv("tvae"),
    "copula_gan": _sdv("copula_gan"),
}


def find_synthesizer(name: str) -> Entry:
    """Return a registered synthesizer, of this package or of another's entry point ``curator.synthesizers``.

    Raises
    ------
    ValueError
        When nothing is registered under the name; the sentence lists what is.
    """
    if name in SYNTHESIZERS:
        return SYNTHESIZERS[name]
    others = {point.name: point for point in entry_points(group="curator.synthesizers")}
    if name in others:
        module, _, attribute = others[name].value.partition(":")
        return Entry(module, attribute, {})
    raise ValueError(unknown_name("synthesizer", name, {*SYNTHESIZERS, *others}))


def synthesizer_version(name: str) -> str:
    """Return the version of a synthesizer's code where another package brings it; empty for those of this one."""
    entry = find_synthesizer(name)
    return "" if entry.module.startswith("curator.") else code_version(entry.load())


def make_synthesizer(name: str, params: Mapping[str, Any], *, per_class: bool = False) -> Synthesizer:
    """Build an unfitted synthesizer."""
    entry = find_synthesizer(name)

    def build() -> Synthesizer:
        return entry.load()(**entry.fixed, **params)

    if per_class:
        from curator.synthesize.per_class import PerClass

        return PerClass(build)
    return build()


def check_synthesizer(name: str, params: Mapping[str, Any]) -> None:
    """Check a name and its settings against the constructor.

    Raises
    ------
    ValueError
        With a sentence that names the settings there are.
    """
    entry = find_synthesizer(name)
    if not params:
        return
    build = entry.load()
    known = getattr(build, "settings", None)
    if known is not None:
        names = known(**entry.fixed)
    else:
        names = [p for p in inspect.signature(build).parameters if p not in entry.fixed]
    for key in params:
        if key not in names:
            raise ValueError(unknown_name(f"setting of {name}", key, names))
    try:
        build(**entry.fixed, **params)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} refuses its settings: {error}") from None
