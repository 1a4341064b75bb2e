"""Fits that were done before are not done again: their scores lie beside the pool that they were fitted on."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curator.evaluate.fit import FitFailedError, FitResult, FitTask, run_fit
from curator.parallel import Workers
from curator.rundir import full_disk_explained

FITS = "fits.jsonl"


# What a finished fit makes its caller want to know next.
More = Callable[[FitTask, FitResult], Sequence[FitTask]]
_Key = tuple[Path, str, bool]


def run_fits(
    tasks: Sequence[FitTask],
    workers: Workers,
    done: Callable[[FitResult], None] | None = None,
    *,
    known: dict[Path, dict[str, FitResult]] | None = None,
    more: More | None = None,
    may_fail: bool = False,
) -> list[FitResult]:
    """Return the result of each task, fitting those alone that no earlier run, or try, has fitted.

    Predictions are not kept on disk, so tasks that ask for them are always done. One fit asked for twice is done once.

    Parameters
    ----------
    known : dict, optional
        What earlier calls have read and fitted, by folder and key, for callers that come again and again; is added to.
    more : callable, optional
        Is told each task with its result, and returns further tasks; it is told theirs, too.
    may_fail : bool
        Whether a model that fails is a result without scores, which is not kept, instead of an error.
    """
    known = {} if known is None else known
    results: dict[_Key, FitResult] = {}
    waiting: dict[_Key, list[FitTask]] = {}
    started: list[_Key] = []

    def ask(tasks: Iterable[FitTask]) -> list[FitTask]:
        """Return those of the tasks that must be fitted, and those that follow from what is known of the others."""
        needed, queue = [], deque(tasks)
        while queue:
            task = queue.popleft()
            key = _key(task)
            if task.folder not in known:
                known[task.folder] = read_fits(task.folder)
            if not task.keep_prediction and key[1] in known[task.folder]:
                results[key] = known[task.folder][key[1]]
            if key in results:
                queue.extend(tell(task, results[key]))
            elif key in waiting:
                waiting[key].append(task)
            else:
                waiting[key] = [task]
                started.append(key)
                needed.append(task)
        return needed

    def tell(task: FitTask, result: FitResult) -> Sequence[FitTask]:
        if done is not None:
            done(result)
        return more(task, result) if more is not None else ()

    def settle(place: int, result: FitResult) -> list[FitTask]:
        key = started[place]
        folder, digest, kept = key
        if not kept and not result.failed:
            _append(folder, digest, result)
            known[folder][digest] = result
        results[key] = result
        return ask([further for task in waiting.pop(key) for further in tell(task, result)])

    workers.map(_try_fit if may_fail else run_fit, ask(tasks), done=settle)
    return [results[_key(task)] for task in tasks]


def _try_fit(task: FitTask) -> FitResult:
    try:
        return run_fit(task)
    except FitFailedError as error:
        return FitResult({}, 0.0, failed=str(error))


def try_fits(
    tasks: Sequence[FitTask], count: int, workers: Workers, done: Callable[[FitResult], None], notes: list[str]
) -> list[list[FitResult]]:
    """Return the results of arms on which no decision hangs, `count` of each; none of an arm that failed anywhere.

    Parameters
    ----------
    notes : list of str
        Is added a sentence for each arm that failed.
    """
    results = run_fits(tasks, workers, done, may_fail=True)
    arms = [results[i : i + count] for i in range(0, len(results), count)]
    failed = [next((r.failed for r in own if r.failed), "") for own in arms]
    notes += [why for why in failed if why]
    return [[] if why else own for own, why in zip(arms, failed, strict=True)]


def _key(task: FitTask) -> _Key:
    return task.folder, task.digest(), task.keep_prediction


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
            found[str(row["key"])] = FitResult(
                _numbers(row["scores"]), float(row["seconds"]), rows=row["rows"], slices=_numbers(row.get("slices", {}))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else float(value) for name, value in scores.items()}


def _written(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else float(value) for name, value in values.items()}  # noqa: PLR0124


def _append(folder: Path, key: str, result: FitResult) -> None:
    row = {
        "key": key, "scores": _written(result.scores), "seconds": result.seconds, "rows": dict(result.rows),
        "slices": _written(result.slices),
    }  # fmt: skip
    with full_disk_explained(folder), (folder / FITS).open("a", encoding="utf-8") as handle:
        # A line cut short by an earlier interruption must not swallow this one.
        handle.write(f"\n{json.dumps(row)}\n")
