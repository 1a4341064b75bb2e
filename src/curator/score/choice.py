"""The choice of a teacher, written once for whoever trains it: models live in memory only, never in a file."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from curator.parallel import FolderTask
from curator.rare import AllOf, Term
from curator.score.calibration import Calibration
from curator.score.candidates import ABOUT, TrainingRows, damaged, write_arrays
from curator.score.teacher import Choice, Faculty, Teacher


@dataclass(frozen=True, eq=False)
class ChoiceTask(FolderTask):
    """The choice of the teacher of one training set; a task for any process."""

    known: TrainingRows
    faculty: Faculty
    seed: int

    @property
    def cost(self) -> float:
        """About what a quick source takes."""
        return float(len(self.known.y))

    def teacher(self) -> Teacher:
        """Return a teacher that has learned nothing yet."""
        known = self.known
        return Teacher(known.task, len(known.classes), known.categorical, self.seed, self.faculty, known.dates)


def choose_teacher(task: ChoiceTask) -> None:
    """Choose the teacher and write which it is, unless that was done before."""
    if (task.folder / ABOUT).is_file():
        return
    started, known = time.perf_counter(), task.known
    choice = task.teacher().choose(known.rows, known.y, known.weight, known.group)
    regions = [[asdict(term) for term in region.terms] for region in choice.regions]
    about = {
        "weights": dict(choice.weights), "regions": regions, "calibration": asdict(choice.calibration),
        "left_out": choice.left_out,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
    write_arrays(task.folder, {"out_of_fold": choice.out_of_fold}, about)


def fit_teacher(task: ChoiceTask) -> Teacher:
    """Train the teacher of a training set, as it was chosen; choosing it first where nobody has."""
    known = task.known
    if (task.folder / ABOUT).is_file():
        return task.teacher().train(known.rows, known.y, known.weight, _load_choice(task.folder))
    return task.teacher().fit(known.rows, known.y, known.weight, known.group)


def left_out(task: ChoiceTask) -> dict[str, tuple[str, ...]]:
    """Return what is to be noted of the teacher: the models that failed; empty where none did."""
    found = _load_choice(task.folder).left_out
    return {"the teacher": found} if found else {}


def hardness(task: ChoiceTask) -> np.ndarray:
    """Return the chosen teacher's error on each training row, out of fold, in [0, 1]; shape (n,).

    One less the probability of the row's class; at regression, the rank of the absolute error.
    """
    from scipy.stats import rankdata

    guess, y = _load_choice(task.folder).out_of_fold, task.known.y
    if task.known.has_classes:
        errors: np.ndarray = 1.0 - np.clip(guess[np.arange(len(y)), y], 0.0, 1.0)
        return errors
    ranks: np.ndarray = (rankdata(np.abs(y - guess)) - 0.5) / len(y)
    return ranks


def _load_choice(folder: Path) -> Choice:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        regions = tuple(AllOf(tuple(Term(**term) for term in terms)) for terms in about["regions"])
        fitted = about["calibration"]
        calibration = Calibration(fitted["slope"], fitted["shift"], tuple(fitted["absent"]))
        out_of_fold = np.load(folder / "out_of_fold.npy", allow_pickle=False)
        return Choice(about["weights"], out_of_fold, regions, calibration, tuple(about["left_out"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder, error) from None
