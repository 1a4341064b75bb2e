"""Fits that were done before are not done again: their scores lie beside the pool that they were fitted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curator.evaluate.fit import FitResult, FitTask, run_fit
from curator.parallel import Workers
from curator.rundir import full_disk_explained

FITS = "fits.jsonl"


def run_fits(
    tasks: Sequence[FitTask],
    workers: Workers,
    done: Callable[[FitResult], None] | None = None,
    *,
    known: dict[Path, dict[str, FitResult]] | None = None,
) -> list[FitResult]:
    """Return the result of each task, fitting those alone that no earlier run, or try, has fitted.

    Predictions are not kept on disk, so tasks that ask for them are always done.

    Parameters
    ----------
    known : dict, optional
        What earlier calls have read and fitted, by folder and key, for callers that come again and again; is added to.
    """
    known = {} if known is None else known
    for folder in {t.folder for t in tasks} - known.keys():
        known[folder] = read_fits(folder)
    keys = [task.digest() for task in tasks]
    results: dict[int, FitResult] = {}
    missing: dict[tuple[Path, str, bool], list[int]] = {}
    for i, (task, key) in enumerate(zip(tasks, keys, strict=True)):
        if not task.keep_prediction and key in known[task.folder]:
            results[i] = known[task.folder][key]
            if done is not None:
                done(results[i])
        else:
            # One fit asked for twice is done once.
            missing.setdefault((task.folder, key, task.keep_prediction), []).append(i)
    places = list(missing)
    asked = [tasks[missing[place][0]] for place in places]

    def keep(number: int, result: FitResult) -> None:
        folder, key, kept = places[number]
        if not kept:
            _append(folder, key, result)
            known[folder][key] = result
        if done is not None:
            for _ in missing[places[number]]:
                done(result)

    for place, result in zip(places, workers.map(run_fit, asked, done=keep), strict=True):
        results |= dict.fromkeys(missing[place], result)
    return [results[i] for i in range(len(tasks))]


def read_fits(folder: Path) -> dict[str, FitResult]:
    """Return the fits that are known of a pool; a line that an interruption cut short is passed over."""
    try:
        lines = (folder / FITS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        try:
            row: dict[str, Any] = json.loads(line)
            found[str(row["key"])] = FitResult(_numbers(row["scores"]), float(row["seconds"]), rows=row["rows"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else float(value) for name, value in scores.items()}


def _append(folder: Path, key: str, result: FitResult) -> None:
    scores = {name: None if value != value else float(value) for name, value in result.scores.items()}  # noqa: PLR0124
    row = {"key": key, "scores": scores, "seconds": result.seconds, "rows": dict(result.rows)}
    with full_disk_explained(folder), (folder / FITS).open("a", encoding="utf-8") as handle:
        # A line cut short by an earlier interruption must not swallow this one.
        handle.write(f"\n{json.dumps(row)}\n")
