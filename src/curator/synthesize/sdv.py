"""The synthesizers of SDV 2: the only file that imports sdv."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import CuratorError
from curator.synthesize.protocol import TARGET

if TYPE_CHECKING:
    import pandas as pd

_CLASSES = {
    "gaussian_copula": "GaussianCopulaSynthesizer",
    "ctgan": "CTGANSynthesizer",
    "tvae": "TVAESynthesizer",
    "copula_gan": "CopulaGANSynthesizer",
}
_NAME = "t"
# Faking personal data and printing are not what a candidate needs; metadata is ours.
_NOT_SETTINGS = {"self", "metadata", "locales", "verbose"}
_NETWORKS = {"ctgan", "tvae", "copula_gan"}


class SDVSynthesizer:
    """A synthesizer of SDV, deterministic and quiet.

    Column types are written from the plain form alone. SDV's own detection fixes value ranges (and then refuses other
    folds), turns unique numbers into random keys, and replaces cities and postcodes by invented ones.

    Parameters
    ----------
    kind : {'gaussian_copula', 'ctgan', 'tvae', 'copula_gan'}
    **settings
        Constructor arguments of the SDV class, e.g. ``epochs`` or ``default_distribution``.
    """

    def __init__(self, kind: str, **settings: Any) -> None:
        self.kind, self._settings = kind, settings
        self._notes: list[str] = []
        if settings:
            _refuse_wrong_types(kind, settings)

    @staticmethod
    def settings(kind: str) -> list[str]:
        """Return the names of settings that a kind takes."""
        parameters = inspect.signature(_sdv_class(kind).__init__).parameters
        return [name for name in parameters if name not in _NOT_SETTINGS]

    @property
    def notes(self) -> tuple[str, ...]:
        """Short samples, where a rejection rule kept SDV from making all rows."""
        return tuple(self._notes)

    def fit(self, rows: pd.DataFrame, *, categorical: tuple[str, ...], seed: int) -> None:
        """See `Synthesizer.fit`."""
        self._columns = list(rows.columns)
        # Any name will do for a column but those that SDV reads a meaning into, or whole numbers, which it renames.
        self._names = {name: f"c{i}" for i, name in enumerate(self._columns)}
        self._categorical = tuple(c for c in self._columns if c in categorical)
        # A column without any value teaches nothing, and some transforms fail on it.
        self._empty = [c for c in self._columns if rows[c].isna().all()]
        used = [c for c in self._columns if c not in self._empty]
        if not used:
            raise CuratorError(f"{self.kind}: no column has a value")
        kinds = {self._names[c]: {"sdtype": "categorical" if c in categorical else "numerical"} for c in used}
        settings = dict(self._settings)
        if "numerical_distributions" in settings:
            given = settings["numerical_distributions"] or {}
            settings["numerical_distributions"] = {self._names[k]: v for k, v in given.items() if k in self._names}
        if self.kind in _NETWORKS:
            settings.setdefault("enable_gpu", False)
            if settings["enable_gpu"] and not _sees_gpu():
                self._notes.append("enable_gpu is on, but torch sees no GPU here: trained on the processor")
        frame = rows[used].rename(columns=self._names).reset_index(drop=True)
        with quiet_and_seeded(seed):
            self._model = _sdv_class(self.kind)(_metadata(kinds), **settings)
            self._model.fit({_NAME: frame})

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        """See `Synthesizer.sample`; prefix-stable: fewer rows are the first of more."""
        import pandas as pd

        if n == 0:
            return pd.DataFrame(
                {c: pd.Series(dtype=object if c in self._categorical else float) for c in self._columns}
            )
        with quiet_and_seeded(seed):
            self._model.reset_sampling()
            # SDV has no public seed for sampling.
            self._model._set_random_state(seed)  # noqa: SLF001
            made = self._model.sample(n)[_NAME]
        if len(made) < n:
            self._notes.append(f"{len(made)} of {n} candidates made")
        made = made.rename(columns={short: name for name, short in self._names.items()})
        for name in self._columns:
            if name in self._empty:
                made[name] = np.nan
            elif name in self._categorical:
                made[name] = made[name].astype(object).where(made[name].notna(), np.nan)
            else:
                made[name] = pd.to_numeric(made[name]).astype(float)
        if TARGET in made:
            made = made[made[TARGET].notna()]
        rows: pd.DataFrame = made[self._columns].reset_index(drop=True)
        return rows


def _sees_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _sdv_class(kind: str) -> Any:
    with _quiet():
        from sdv import single_table

    return getattr(single_table, _CLASSES[kind])


def _refuse_wrong_types(kind: str, settings: dict[str, Any]) -> None:
    defaults = inspect.signature(_sdv_class(kind).__init__).parameters
    for key, value in settings.items():
        default = defaults[key].default if key in defaults else None
        if isinstance(default, bool):
            wrong = not isinstance(value, bool)
        elif isinstance(default, int | float):
            wrong = not isinstance(value, int | float) or isinstance(value, bool) or value < 0
        else:
            wrong = False
        if wrong:
            raise ValueError(f"{key} must be like its default {default!r}, got {value!r}")
    epochs = settings.get("epochs", 1)
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a whole number of at least 1, got {epochs}")
    known = {k: v for k, v in settings.items() if k != "numerical_distributions"}
    columns = {"c0": {"sdtype": "numerical"}}
    with _quiet():
        try:
            _sdv_class(kind)(_metadata(columns), **known)
        except Exception as error:  # SDV raises many kinds; each says what it wants
            raise ValueError(str(error)) from None


def _metadata(columns: dict[str, dict[str, str]]) -> Any:
    from sdv.metadata import Metadata

    return Metadata.load_from_dict(
        {"tables": {_NAME: {"columns": columns}}, "relationships": [], "METADATA_SPEC_VERSION": "V2"}
    )


@contextlib.contextmanager
def quiet_and_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's and torch's global generators, use one thread, and put everything back afterwards."""
    import joblib
    import torch

    state, torch_state, threads = np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002  # SDV's networks read the global generator
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    try:
        with _quiet(), joblib.parallel_config(backend="sequential"):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars, alerts and warnings of SDV off the user's screen; they speak of SDV's metadata, not ours."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
