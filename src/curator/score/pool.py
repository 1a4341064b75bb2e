"""The pool of one training set: real rows and candidates, encoded and scored once, read by every trial."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.errors import CuratorError, reason_of
from curator.records import TaskType
from curator.rundir import atomic_folder, full_disk_explained
from curator.score import all_scorers
from curator.score.context import ScoringContext
from curator.score.teacher import Teacher
from curator.synthesize import TARGET, ClassSampler, Synthesizer, make_synthesizer
from curator.table import ENCODERS, Encoding, conform

if TYPE_CHECKING:
    import pandas as pd

# Candidates per source at most; more than this adds seconds, not signal.
MOST_CANDIDATES = 200_000
# Class samplers also make this many rows per real row of equal class shares, so that rare classes can be drawn up.
BALANCED_RATIO = 3
# The SMOTE arm of the ladder: as many rows as even out the classes. No plan of the search draws on it.
BALANCING = "smote_balancing"


@dataclass(frozen=True)
class Source:
    """A synthesizer as the recipe asks for it."""

    name: str
    synthesizer: str
    params: Mapping[str, Any]
    per_class: bool


@dataclass(frozen=True, eq=False)
class PoolTask:
    """Everything needed to build one pool, in whatever process.

    Attributes
    ----------
    folder : Path
        Where it is cached.
    rows, valid : DataFrame
        Plain features to fit on (n rows), and to judge by (may be empty).
    y, y_valid, weight, weight_valid : arrays
    """

    folder: Path
    key: str
    rows: pd.DataFrame
    y: np.ndarray
    weight: np.ndarray
    valid: pd.DataFrame
    y_valid: np.ndarray
    weight_valid: np.ndarray
    categorical: tuple[str, ...]
    task: TaskType
    classes: tuple[str, ...]
    sources: tuple[Source, ...]
    encoding: Encoding
    max_ratio: float
    seed: int
    balancing: bool = False


@dataclass(frozen=True, eq=False)
class Pool:
    """Arrays of one pool, memory-mapped; m candidates beside n real training rows and v rows to judge by.

    Attributes
    ----------
    X, X_valid, X_candidates : float64 arrays of shape (n, d), (v, d), (m, d)
        In the estimator's encoding, fitted on the training rows.
    y, y_valid : arrays of shape (n,), (v,)
        Class codes, or values.
    weight, weight_valid : arrays of shape (n,), (v,)
    labels : array of shape (m,)
        The synthesizers' labels.
    source : int array of shape (m,)
        Index into `sources`.
    prediction : array of shape (m, n_classes) or (m,)
        The teacher's.
    uniform : array of shape (m,)
        One number in [0, 1) a candidate, for drawing labels and copies.
    scores : mapping of str to array of shape (m,)
    """

    X: np.ndarray
    X_valid: np.ndarray
    X_candidates: np.ndarray
    y: np.ndarray
    y_valid: np.ndarray
    weight: np.ndarray
    weight_valid: np.ndarray
    labels: np.ndarray
    source: np.ndarray
    prediction: np.ndarray
    uniform: np.ndarray
    sources: tuple[str, ...]
    n_classes: int
    categorical: tuple[int, ...]
    scores: Mapping[str, np.ndarray]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teacher_weights: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.n_classes == 0


_ARRAYS = (
    "X", "X_valid", "X_candidates", "y", "y_valid", "weight", "weight_valid", "labels", "source", "prediction",
    "uniform",
)  # fmt: skip


def build_pool(task: PoolTask) -> str:
    """Fit, sample, score and encode; cache the result in ``task.folder``; return the fold's key."""
    started = time.perf_counter()
    if (task.folder / "pool.json").is_file():
        return task.key
    candidates, labels, source, notes = _candidates(task)
    teacher = Teacher(task.task, len(task.classes), task.categorical, task.seed).fit(task.rows, task.y, task.weight)
    prediction = teacher.predict(candidates)
    context = ScoringContext(
        task.rows, task.y, candidates, labels, source, task.categorical, task.task, teacher, prediction, task.seed
    )
    scores = {name: np.asarray(score(context), dtype=float) for name, score in all_scorers().items()}
    encoder = ENCODERS[task.encoding](task.categorical).fit(task.rows)
    arrays = {
        "X": encoder.transform(task.rows),
        "X_valid": encoder.transform(task.valid) if len(task.valid) else np.empty((0, 0)),
        "X_candidates": encoder.transform(candidates),
        "y": task.y, "y_valid": task.y_valid, "weight": task.weight, "weight_valid": task.weight_valid,
        "labels": labels, "source": source, "prediction": prediction,
        "uniform": np.random.default_rng([task.seed, 7]).random(len(candidates)),
    }  # fmt: skip
    about = {
        "sources": [s.name for s in task.sources] + ([BALANCING] if task.balancing else []),
        "n_classes": len(task.classes),
        "categorical": encoder.categorical,
        "scores": list(scores),
        "notes": notes,
        "teacher": teacher.weights,
        "seeds": {s.name: source_seed(task.seed, i) for i, s in enumerate(task.sources)},
        "seconds": time.perf_counter() - started,
    }
    with full_disk_explained(task.folder), atomic_folder(task.folder) as part:
        for name, values in {**arrays, **{f"score-{k}": v for k, v in scores.items()}}.items():
            np.save(part / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
        candidates.to_parquet(part / "candidates.parquet", index=False)
        (part / "pool.json").write_text(json.dumps(about), encoding="utf-8")
    return task.key


def load_pool(folder: Path) -> Pool:
    """Read a cached pool; arrays are mapped, not copied, so that worker processes share them."""
    try:
        # A pool that was built anew at the same place is another pool.
        written = (folder / "pool.json").stat().st_mtime_ns
    except OSError as error:
        raise _damaged(folder, error) from None
    return _load_pool(folder, written)


def _damaged(folder: Path, error: Exception) -> CuratorError:
    return CuratorError(f"{folder}: the cached pool is damaged ({error}); delete the folder and run again")


@lru_cache(maxsize=64)
def _load_pool(folder: Path, written: int) -> Pool:  # noqa: ARG001  # part of the cache's key
    def array(name: str) -> np.ndarray:
        path = folder / f"{name}.npy"
        empty = path.stat().st_size < 256 or name in {"X_valid", "y_valid", "weight_valid"}
        loaded: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
        return loaded

    try:
        about = json.loads((folder / "pool.json").read_text(encoding="utf-8"))
        arrays = {name: array(name) for name in _ARRAYS}
        scores = {name: array(f"score-{name}") for name in about["scores"]}
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(folder, error) from None
    return Pool(
        **arrays,
        sources=tuple(about["sources"]),
        n_classes=about["n_classes"],
        categorical=tuple(about["categorical"]),
        scores=scores,
        notes={k: tuple(v) for k, v in about["notes"].items()},
        teacher_weights=about["teacher"],
        seeds=about["seeds"],
        seconds=about["seconds"],
    )


def load_candidates(folder: Path) -> pd.DataFrame:
    """Return the plain features of a pool's candidates, in the order of its arrays."""
    import pandas as pd

    frame = pd.read_parquet(folder / "candidates.parquet")
    # Parquet knows one missing text; plain form writes it as NaN.
    for name in frame.select_dtypes(object).columns:
        frame[name] = frame[name].where(frame[name].notna(), np.nan)
    return frame


def _candidates(task: PoolTask) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, dict[str, list[str]]]:
    import pandas as pd

    words = dict(enumerate(task.classes))
    rows, categorical = task.rows.copy(), task.categorical
    if task.task == "regression":
        rows[TARGET] = task.y
    else:
        rows[TARGET] = [words[int(code)] for code in task.y]
        categorical = (*categorical, TARGET)
    frames, notes = [], {}
    for number, source in enumerate(task.sources):
        seed = source_seed(task.seed, number)
        made, said = _from_source(source, rows, categorical, task, seed)
        frames.append(made)
        notes[source.name] = said
    if task.balancing:
        made, said = _balancing(rows, categorical, task)
        frames.append(made)
        notes[BALANCING] = said
    filled = [f for f in frames if len(f)] or frames[:1]
    joined = pd.concat(filled, ignore_index=True)
    source_of = np.repeat(np.arange(len(frames), dtype=np.int16), [len(f) for f in frames])
    candidates = conform(joined[list(task.rows.columns)], task.rows, task.categorical)
    if task.task == "regression":
        values = np.clip(joined[TARGET].to_numpy(float), task.y.min(), task.y.max())
        return candidates, values, source_of, notes
    codes = {word: code for code, word in words.items()}
    return candidates, joined[TARGET].map(codes).to_numpy(np.int64), source_of, notes


def source_seed(seed: int, number: int) -> int:
    """Return the seed of a recipe's n-th source in a pool of this seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] % 2**31)


def _from_source(
    source: Source, rows: pd.DataFrame, categorical: tuple[str, ...], task: PoolTask, seed: int
) -> tuple[pd.DataFrame, list[str]]:
    synthesizer = make_synthesizer(source.synthesizer, source.params, per_class=source.per_class)
    wanted = int(min(np.ceil(task.max_ratio * len(rows)), MOST_CANDIDATES))
    try:
        synthesizer.fit(rows, categorical=categorical, seed=seed)
        made = _sample(synthesizer, rows, wanted, seed, classes=task.task != "regression")
    except CuratorError:
        raise
    except (ValueError, TypeError, ArithmeticError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        # Whatever a generator trips over, the run goes on with the other sources, and says so.
        reason = f"{type(error).__name__}: {reason_of(error)[:200]}"
        return rows.iloc[:0], [f"failed on these rows and gives no candidates: {reason}"]
    known = made[TARGET].notna() if task.task == "regression" else made[TARGET].isin(task.classes)
    return made.loc[known, list(rows.columns)], list(synthesizer.notes)


def _sample(synthesizer: Synthesizer, rows: pd.DataFrame, wanted: int, seed: int, *, classes: bool) -> pd.DataFrame:
    if not classes or not isinstance(synthesizer, ClassSampler):
        return synthesizer.sample(wanted, seed=seed + 1)
    counts = rows[TARGET].value_counts()
    balanced = BALANCED_RATIO * len(rows) / len(counts)
    quota = {str(k): int(np.ceil(max(wanted * n / len(rows), min(balanced, wanted)))) for k, n in counts.items()}
    return synthesizer.sample_classes(quota, seed=seed + 1)


def _balancing(rows: pd.DataFrame, categorical: tuple[str, ...], task: PoolTask) -> tuple[pd.DataFrame, list[str]]:
    from curator.synthesize.smote import Smote

    counts = rows[TARGET].value_counts()
    smote = Smote()
    smote.fit(rows, categorical=categorical, seed=task.seed)
    made = smote.sample_classes({str(k): int(counts.max() - n) for k, n in counts.items()}, seed=task.seed)
    return made[list(rows.columns)], list(smote.notes)
