"""Trials as fits: each plan on each fold is one fit for every estimator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from curator.evaluate import Arm, Estimator, FitResult, FitTask, Metric, SliceRows, fit_tasks
from curator.records import LabelForm
from curator.search.course import Pair, Result
from curator.table import Encoding


class TrialFits:
    """Turns pairs of plan and fold into fits, and what comes of these into results of pairs.

    Parameters
    ----------
    folders : sequence of mapping of Encoding to Path
        The pool of each fold, as the estimators see it.
    slices : sequence of SliceRows
        By fold, the slices that no mix may harm.
    """

    def __init__(
        self,
        estimators: Sequence[Estimator],
        metrics: Sequence[Metric],
        folders: Sequence[Mapping[Encoding, Path]],
        form: LabelForm,
        seed: int,
        slices: Sequence[SliceRows],
    ) -> None:
        self._slices = slices
        self._estimators, self._metrics, self._folders = estimators, metrics, folders
        self._form, self._seed = form, seed
        self._fold = {path: k for k, by_encoding in enumerate(folders) for path in by_encoding.values()}
        self._parts: dict[Pair, dict[int, FitResult]] = {}

    def tasks(self, pairs: Iterable[Pair]) -> list[FitTask]:
        """Return what is to be fitted."""
        return [
            task
            for plan, k in pairs
            for e in self._estimators
            for task in fit_tasks(
                [Arm("trial", plan)], [self._folders[k][e.encoding]], e, self._metrics, self._form, self._seed,
                slices=[self._slices[k]],
            )
        ]  # fmt: skip

    def take(self, task: FitTask, result: FitResult) -> tuple[Pair, Result] | None:
        """Note a fit; return its pair with the pair's result as soon as all estimators are done with it."""
        pair = (task.arm.plan, self._fold[task.folder])
        parts = self._parts.setdefault(pair, {})
        # By position: settings may be lists, so that estimators have no hash.
        parts[self._estimators.index(task.estimator)] = result
        if len(parts) < len(self._estimators):
            return None
        del self._parts[pair]
        width = range(len(self._estimators))
        # A model that failed has no scores.
        scores = tuple(parts[e].scores.get(m.name, math.nan) for m in self._metrics for e in width)
        losses = tuple(parts[e].slices.get(name, math.nan) for name, _ in self._slices[pair[1]] for e in width)
        return pair, (scores + losses, sum(r.seconds for r in parts.values()))
