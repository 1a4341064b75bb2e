"""Building pools: fit, sample, score and encode whatever of one is not cached."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.score import Scorer, all_scorers, scorer_versions
from curator.score.candidates import (
    ABOUT,
    BALANCING,
    SLICES,
    Candidates,
    CandidateTask,
    Source,
    TrainingRows,
    damaged,
    load_candidates,
    make_candidates,
    source_seed,
    wanted,
    write_arrays,
)
from curator.score.choice import ChoiceTask, choose_teacher, fit_teacher, hardness, left_out
from curator.score.context import RealSpace, ScoringContext
from curator.score.realism import chance_of_real
from curator.score.teacher import Faculty, Teacher
from curator.table import ENCODERS, Encoding
from curator.versions import check_same_code

if TYPE_CHECKING:
    import pandas as pd

# Raised when the meaning of a cached folder changes, so that older ones are not taken for newer ones.
CACHE_VERSION = 6


@dataclass(frozen=True, eq=False)
class PoolTask:
    """Everything needed to build one pool, in whatever process.

    Folders are named by digests of what decides their content, so that whatever a change of the recipe leaves alone
    is found again: each source's candidates, their scores, and the pool that brings them together.

    Attributes
    ----------
    store : Path
        The folder that these folders lie in.
    key : str
        The fold, which their names begin with.
    known : TrainingRows
        What is fitted on; n rows.
    valid : DataFrame
        Plain features to judge by; may be empty.
    y_valid, weight_valid : arrays
    seed : int
        The fold's.
    versions : str
        Names the packages that candidates and scores depend on.
    scorers : tuple of (str, str)
        Every scorer, and the version of its code.
    faculty : Faculty
        What the teacher is chosen from.
    slices : bool array of shape (n, n_slices), optional
        Which rows are in the slices that a source of their own is to feed.
    """

    store: Path
    key: str
    known: TrainingRows
    valid: pd.DataFrame
    y_valid: np.ndarray
    weight_valid: np.ndarray
    sources: tuple[Source, ...]
    encoding: Encoding
    max_ratio: float
    seed: int
    balancing: bool = False
    versions: str = ""
    scorers: tuple[tuple[str, str], ...] = field(default_factory=scorer_versions)
    faculty: Faculty = Faculty()  # noqa: RUF009  # frozen
    slices: np.ndarray | None = None

    @cached_property
    def _known_digest(self) -> str:
        return self.known.digest()

    @cached_property
    def parts(self) -> tuple[CandidateTask, ...]:
        """What makes the candidates: one task a source, then SMOTE's where the ladder wants it."""
        more = (Source(BALANCING, BALANCING, {}, False),) if self.balancing else ()
        return tuple(self._part(s) for s in (*self.sources, *more))

    def _part(self, source: Source) -> CandidateTask:
        seed = source_seed(self.seed, source.name)
        how = [source.synthesizer, source.code, dict(source.params), source.per_class]
        known = self.known
        if source.name == SLICES:
            # The other sources do not change with it.
            known = replace(known, slices=self.slices)
            how.append(known.digest())
        name = self._name(f"{self.key}-{source.name}", *how, self.max_ratio, seed)
        return CandidateTask(self.store / name, known, source, self.max_ratio, seed)

    @cached_property
    def choice(self) -> ChoiceTask:
        """What chooses the teacher."""
        name = self._name(f"{self.key}-teacher", asdict(self.faculty), self.seed)
        return ChoiceTask(self.store / name, self.known, self.faculty, self.seed)

    @property
    def judged(self) -> dict[str, Path]:
        """Where the scores of each source's candidates are, by source."""
        judges = [self.scorers, self.choice.folder.name, self.seed]
        return {
            p.source.name: self.store / self._name(f"{self.key}-scores", p.folder.name, *judges)
            for p in self.parts
            if p.source.name != BALANCING
        }

    @cached_property
    def folder(self) -> Path:
        """Where the pool is."""
        valid = TrainingRows(
            self.valid, self.y_valid, self.weight_valid, self.known.categorical, self.known.task, self.known.classes
        )
        parts = [p.folder.name for p in self.parts]
        content = [parts, self.scorers, self.choice.folder.name, self.encoding, valid.digest()]
        return self.store / self._name(self.key, *content)

    def _name(self, start: str, *content: Any) -> str:
        text = json.dumps([CACHE_VERSION, self.versions, self._known_digest, *content], sort_keys=True, default=str)
        return f"{start}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def reads(self) -> tuple[Path, ...]:
        """Folders that building the pool begins with, where they are there."""
        return tuple(f for f in self._inputs if (f / ABOUT).is_file())

    @property
    def _inputs(self) -> tuple[Path, ...]:
        return (*(p.folder for p in self.parts), self.choice.folder, *self.judged.values())

    @property
    def writes(self) -> tuple[Path, ...]:
        """Folders that it leaves behind."""
        return (*self._inputs, self.folder)

    @property
    def cost(self) -> float:
        """Pools of more rows take longer."""
        return float(len(self.known.y))

    def moved(self, store: Path) -> PoolTask:
        """Return the task as it is done in another place."""
        return replace(self, store=store)


def build_pool(task: PoolTask) -> None:
    """Fit, sample, score and encode whatever of it is not cached in ``task.store``."""
    if (task.folder / ABOUT).is_file():
        return
    started = time.perf_counter()
    for part in task.parts:
        make_candidates(part)
    choose_teacher(task.choice)
    parts = [load_candidates(part.folder) for part in task.parts]
    _score_parts(task, parts)
    judged = [_load_scores(folder) for folder in task.judged.values()]
    densities = [load_density(folder) for folder in task.judged.values()]
    densities += [np.full(len(p.labels), 0.5) for p in parts[len(judged) :]]
    encoder = ENCODERS[task.encoding](task.known.categorical).fit(task.known.rows)
    scored = [*judged, *(_unscored(p, task, judged[0][1]) for p in parts[len(judged) :])]
    arrays = {
        "X": encoder.transform(task.known.rows),
        "X_valid": encoder.transform(task.valid) if len(task.valid) else np.empty((0, 0)),
        "X_candidates": np.concatenate([encoder.transform(p.rows) for p in parts]),
        "y": task.known.y, "y_valid": task.y_valid, "weight": task.known.weight, "weight_valid": task.weight_valid,
        "group": np.empty(0, dtype=np.int64) if task.known.group is None else task.known.group,
        "labels": np.concatenate([p.labels for p in parts]),
        "source": np.repeat(np.arange(len(parts), dtype=np.int16), [len(p.labels) for p in parts]),
        "prediction": np.concatenate([prediction for prediction, _, _ in scored]),
        "uniform": np.concatenate([p.uniform for p in parts]),
        "density": np.concatenate(densities), "hardness": hardness(task.choice), "made_for": slices_made_for(parts),
        **{f"score-{k}": np.concatenate([scores[k] for _, scores, _ in scored]) for k in scored[0][1]},
    }  # fmt: skip
    about = {
        "sources": [p.source.name for p in task.parts],
        "n_classes": len(task.known.classes),
        "categorical": encoder.categorical,
        "scores": list(scored[0][1]),
        "notes": {t.source.name: p.notes for t, p in zip(task.parts, parts, strict=True)} | left_out(task.choice),
        "teacher": judged[0][2]["teacher"], "regions": judged[0][2]["regions"],
        "neighbours": [facts["neighbours"] for _, _, facts in judged],
        "seeds": {p.source.name: p.seed for p in task.parts if p.source.name != BALANCING},
        "fed": fed_slices(task.parts),
        "seconds": time.perf_counter() - started,
    }
    write_arrays(task.folder, arrays, about)


def _score_parts(task: PoolTask, parts: Sequence[Candidates]) -> None:
    """Score each source's candidates; the teacher is fitted if there are any to score, once for all of them."""
    waiting = [
        (made, part.seed, task.judged[part.source.name])
        for part, made in zip(task.parts, parts, strict=True)
        if part.source.name in task.judged and not (task.judged[part.source.name] / ABOUT).is_file()
    ]
    if not waiting:
        return
    check_same_code("the set of scorers", str(task.scorers), str(scorer_versions()))
    teacher = fit_teacher(task.choice)
    # How many will be looked up decides the method: a figure that is the same whichever sources are still waiting.
    every = real_space(task.known, wanted(task.max_ratio, len(task.known.y)))
    for made, seed, folder in waiting:
        space = every.apart()
        prediction, scores, density = score(task.known, made, teacher, space, seed, all_scorers())
        arrays = {"prediction": prediction, "density": density, **{f"score-{k}": v for k, v in scores.items()}}
        facts = {"teacher": dict(teacher.weights), "regions": [c.region.text for c in teacher.corrections]}
        write_arrays(folder, arrays, {"scores": list(scores), **facts, "neighbours": space.index.facts})


def slices_made_for(parts: Sequence[Candidates]) -> np.ndarray:
    """Return which fed slice each candidate of these sources was made for, -1 for none; shape (m,)."""
    found: np.ndarray = np.concatenate([
        np.full(len(p.labels), -1, dtype=np.int64) if p.made_for is None else p.made_for for p in parts
    ])  # fmt: skip
    return found


def fed_slices(parts: Sequence[CandidateTask]) -> list[str]:
    """Return the names of the slices that one of these sources feeds."""
    return [name for p in parts if p.source.name == SLICES for name in p.source.params["names"]]


def real_space(known: TrainingRows, queries: int) -> RealSpace:
    """Return the real rows as points in which so many candidates will look for their neighbours."""
    return RealSpace(known.rows, known.categorical, queries)


def score(
    known: TrainingRows,
    made: Candidates,
    teacher: Teacher,
    space: RealSpace,
    seed: int,
    scorers: Mapping[str, Scorer],
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return the teacher's prediction for one source's candidates, their scores, and their chance to be real."""
    prediction = teacher.predict(made.rows)
    context = ScoringContext(
        known.rows, known.y, made.rows, made.labels, known.categorical, known.task, teacher, prediction, seed,
        space, made_for=made.made_for,
    )  # fmt: skip
    scores = {name: np.asarray(scorer(context), dtype=float) for name, scorer in scorers.items()}
    return prediction, scores, chance_of_real(context)


def _load_scores(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        scores = {name: np.load(folder / f"score-{name}.npy", allow_pickle=False) for name in about["scores"]}
        return np.load(folder / "prediction.npy", allow_pickle=False), scores, about
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder, error) from None


def load_density(folder: Path) -> np.ndarray:
    """Read the candidates' chances to be real."""
    try:
        found: np.ndarray = np.load(folder / "density.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from None
    return found


def _unscored(
    made: Candidates, task: PoolTask, scores: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    """Fill the places of rows that no plan draws on."""
    m = len(made.labels)
    shape = (m, len(task.known.classes)) if task.known.has_classes else (m,)
    return np.zeros(shape), {name: np.zeros(m) for name in scores}, {}
