"""Candidates of one source for one training set: fitted, sampled and written once, whoever asks for them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from curator.errors import CuratorError, reason_of
from curator.parallel import FolderTask
from curator.rare import class_shares
from curator.records import TaskType
from curator.rundir import atomic_folder, full_disk_explained
from curator.synthesize import (
    MADE_FOR,
    TARGET,
    ClassSampler,
    Synthesizer,
    WithinSlices,
    make_synthesizer,
    synthesizer_version,
)
from curator.table import conform
from curator.versions import check_same_code

if TYPE_CHECKING:
    import pandas as pd

F = TypeVar("F")

# Candidates per source at most; more than this adds seconds, not signal.
MOST_CANDIDATES = 200_000
# Class samplers also make this many rows per real row of equal class shares, so that rare classes can be drawn up.
BALANCED_RATIO = 3
# The SMOTE arm of the ladder: as many rows as even out the classes. No plan of the search draws on it.
BALANCING = "smote_balancing"
# Candidates within slices: a source of its own where the recipe feeds slices.
SLICES = "slices"
ABOUT = "about.json"
_MADE_FOR = "made_for.npy"
# What generators raise on rows that they cannot cope with.
SOURCE_ERRORS = (ValueError, TypeError, ArithmeticError, RuntimeError, KeyError, IndexError, AttributeError)


@dataclass(frozen=True)
class Source:
    """A synthesizer as the recipe asks for it."""

    name: str
    synthesizer: str
    params: Mapping[str, Any]
    per_class: bool
    code: str = ""  # the version of another package's synthesizer


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows that everything about one fold is fitted on.

    Attributes
    ----------
    rows : DataFrame
        Plain features, n rows.
    y : array of shape (n,)
        Class codes, or values.
    weight : array of shape (n,)
    inclusion : array of shape (n,), optional
        How many rows of a larger table each stands for, relative to the mean; `weight` counts it already.
    group : int array of shape (n,), optional
        Rows that belong together.
    slices : bool array of shape (n, n_slices), optional
        Which rows are in which slice, for the source that makes candidates within them.
    dates : tuple of str
        The columns that hold dates, as numbers.
    """

    rows: pd.DataFrame
    y: np.ndarray
    weight: np.ndarray
    categorical: tuple[str, ...]
    task: TaskType
    classes: tuple[str, ...]
    inclusion: np.ndarray | None = None
    group: np.ndarray | None = None
    slices: np.ndarray | None = None
    dates: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether the target is a class."""
        return self.task != "regression"

    def with_target(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return the rows with their target as synthesizers see it, and which columns hold words."""
        if self.task == "regression":
            return self.rows.assign(**{TARGET: self.y}), self.categorical
        words = np.array(self.classes, dtype=object)[self.y]
        return self.rows.assign(**{TARGET: words}), (*self.categorical, TARGET)

    def representative(self, seed: int) -> TrainingRows:
        """Return the rows less what is over-represented within a class, for whatever takes no weights.

        A row stays with the chance that its inclusion is of its class's highest. Shares of classes stay as they are:
        quotas see to them, and rare classes need all of their rows.
        """
        if self.inclusion is None:
            return self
        code = self.y if self.has_classes else np.zeros(len(self.y), dtype=np.int64)
        highest = np.zeros(int(code.max()) + 1)
        np.maximum.at(highest, code, self.inclusion)
        kept = np.flatnonzero(np.random.default_rng([seed, 29]).random(len(code)) < self.inclusion / highest[code])
        rows = self.rows.iloc[kept].reset_index(drop=True)
        group = None if self.group is None else self.group[kept]
        slices = None if self.slices is None else self.slices[kept]
        return replace(
            self, rows=rows, y=self.y[kept], weight=self.weight[kept], inclusion=None, group=group, slices=slices
        )

    def digest(self) -> str:
        """Return the SHA-256 of everything here."""
        import pandas as pd

        what = (list(self.rows.columns), self.categorical, self.dates, self.task, self.classes)
        found = hashlib.sha256(repr(what).encode())
        found.update(pd.util.hash_pandas_object(self.rows, index=False).to_numpy().tobytes())
        found.update(np.ascontiguousarray(self.y).tobytes())
        found.update(np.ascontiguousarray(self.weight, dtype=float).tobytes())
        for name, values in (("inclusion", self.inclusion), ("group", self.group), ("slices", self.slices)):
            if values is not None:
                found.update(name.encode() + np.ascontiguousarray(values, dtype=float).tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class CandidateTask(FolderTask):
    """One source on one training set; the folder's name is a digest of what decides its content."""

    known: TrainingRows
    source: Source
    max_ratio: float
    seed: int

    @property
    def cost(self) -> float:
        """Networks take longest, so they start first."""
        return len(self.known.y) * (100.0 if self.source.synthesizer in {"ctgan", "tvae", "copula_gan"} else 1.0)


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a source has made: m plain rows with their labels, and a number in [0, 1) for each (for draws).

    `made_for` says which of the fed slices each was made for, where that is what the source does.
    """

    rows: pd.DataFrame
    labels: np.ndarray
    uniform: np.ndarray
    notes: tuple[str, ...]
    made_for: np.ndarray | None = None


def source_seed(seed: int, name: str) -> int:
    """Return the seed of a source in a pool of this seed; other sources of the recipe do not matter to it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") % 2**31


def wanted(max_ratio: float, n: int) -> int:
    """Return how many candidates a source makes for n training rows, balanced classes aside."""
    return int(min(np.ceil(max_ratio * n), MOST_CANDIDATES))


def make_candidates(task: CandidateTask) -> None:
    """Fit, sample and write, unless that was done before."""
    if (task.folder / ABOUT).is_file():
        return
    started = time.perf_counter()
    if task.source.name == BALANCING:
        made, notes = _balancing(task)
    else:
        try:
            synthesizer = fit_source(task)
            made = sample_source(task, synthesizer, seed=task.seed + 1)
            notes = list(synthesizer.notes)
        except CuratorError:
            raise
        except SOURCE_ERRORS as error:
            # Whatever a generator trips over, the run goes on with the other sources, and says so.
            made = task.known.with_target()[0].iloc[:0]
            notes = [f"failed on these rows and gives no candidates: {type(error).__name__}: {reason_of(error)[:200]}"]
    rows, labels = conformed(made, task.known)
    about = {"notes": notes, "seconds": time.perf_counter() - started}
    with full_disk_explained(task.folder), atomic_folder(task.folder) as part:
        rows.to_parquet(part / "candidates.parquet", index=False)
        np.save(part / "labels.npy", labels, allow_pickle=False)
        np.save(part / "uniform.npy", draws(len(rows), task.seed), allow_pickle=False)
        if MADE_FOR in made:
            np.save(part / _MADE_FOR, made[MADE_FOR].to_numpy(np.int64), allow_pickle=False)
        (part / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def draws(n: int, seed: int) -> np.ndarray:
    """Return the numbers by which labels and copies are drawn, shape (n,); the first of more are the same."""
    return np.random.default_rng([seed, 7]).random(n)


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays, and what there is to know about them, into a new folder: all of it or nothing."""
    with full_disk_explained(folder), atomic_folder(folder) as part:
        for name, values in arrays.items():
            np.save(part / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
        (part / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def load_candidates(folder: Path) -> Candidates:
    """Read what a source has made."""
    import pandas as pd

    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        labels, uniform = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("labels", "uniform"))
        rows = pd.read_parquet(folder / "candidates.parquet")
        made_for = np.load(folder / _MADE_FOR, allow_pickle=False) if (folder / _MADE_FOR).is_file() else None
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder, error) from None
    # Parquet knows one missing text; plain form writes it as NaN.
    for name in rows.select_dtypes(object).columns:
        rows[name] = rows[name].where(rows[name].notna(), np.nan)
    return Candidates(rows, labels, uniform, tuple(about["notes"]), made_for)


def damaged(folder: Path, error: Exception) -> CuratorError:
    """Return what to say of a cached folder that cannot be read."""
    return CuratorError(f"{folder}: the cached pool is damaged ({error}); delete the folder and run again")


def fit_source(task: CandidateTask) -> Synthesizer:
    """Fit a source's synthesizer to the training rows."""
    known = task.known.representative(task.seed)
    rows, categorical = known.with_target()
    synthesizer: Synthesizer
    if task.source.name == SLICES and known.slices is not None:
        synthesizer = WithinSlices(task.source.params["names"], known.slices)
    else:
        check_same_code(task.source.synthesizer, task.source.code, synthesizer_version(task.source.synthesizer))
        synthesizer = make_synthesizer(task.source.synthesizer, task.source.params, per_class=task.source.per_class)
    synthesizer.fit(rows, categorical=categorical, seed=task.seed)
    return synthesizer


# Fits that this process has made for parts of a dataset: models live in memory only, never in a file.
_KEPT: dict[str, Any] = {}
_MOST_KEPT = 64


def keep_fit(name: str, fit: Callable[[], F]) -> F:
    """Return what `fit` makes, kept by this process under a name that says what decides it."""
    if name not in _KEPT:
        while len(_KEPT) >= _MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[name] = fit()
    found: F = _KEPT[name]
    return found


def forget_fits() -> None:
    """Let go of the fits that this process has kept."""
    _KEPT.clear()


def sample_source(task: CandidateTask, synthesizer: Synthesizer, *, seed: int, share: float = 1.0) -> pd.DataFrame:
    """Return candidates with known targets: a `share` of as many as a pool holds."""
    rows, _ = task.known.with_target()
    total = wanted(task.max_ratio, len(rows))
    if task.known.has_classes and isinstance(synthesizer, ClassSampler):
        shares = class_shares(task.known.y, len(task.known.classes), task.known.weight)
        by_label = dict(zip(task.known.classes, total * shares, strict=True))
        labels = [str(k) for k in rows[TARGET].value_counts().index]
        balanced = min(BALANCED_RATIO * len(rows) / len(labels), total)
        quota = {k: int(np.ceil(share * max(by_label[k], balanced))) for k in labels}
        made = synthesizer.sample_classes(quota, seed=seed)
    else:
        made = synthesizer.sample(int(np.ceil(share * total)), seed=seed)
    known = made[TARGET].isin(task.known.classes) if task.known.has_classes else made[TARGET].notna()
    return made.loc[known, [*rows.columns, *made.columns.intersection([MADE_FOR])]]


def conformed(made: pd.DataFrame, known: TrainingRows) -> tuple[pd.DataFrame, np.ndarray]:
    """Return candidates in the precision and range of the training rows, and their labels."""
    rows = conform(made[list(known.rows.columns)].reset_index(drop=True), known.rows, known.categorical)
    if known.task == "regression":
        return rows, np.clip(made[TARGET].to_numpy(float), known.y.min(), known.y.max())
    codes = {word: code for code, word in enumerate(known.classes)}
    return rows, made[TARGET].map(codes).to_numpy(np.int64)


def _balancing(task: CandidateTask) -> tuple[pd.DataFrame, list[str]]:
    from curator.synthesize.smote import Smote

    rows, categorical = task.known.with_target()
    counts = rows[TARGET].value_counts()
    smote = Smote()
    smote.fit(rows, categorical=categorical, seed=task.seed)
    made = smote.sample_classes({str(k): int(counts.max() - n) for k, n in counts.items()}, seed=task.seed)
    return made[list(rows.columns)], list(smote.notes)
