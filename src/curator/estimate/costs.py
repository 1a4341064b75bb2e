"""What was measured: seconds by size, and what else a forecast is put together from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

_HIGHEST_POWER = 2.0
# Work that takes more than so many times its processor time waits for something else than a core.
_MOST_WAITING = 4.0


@dataclass(frozen=True)
class Curve:
    """Seconds by size, as measured at a few sizes.

    Attributes
    ----------
    points : tuple of (size, seconds)
        By size, ascending.
    """

    points: tuple[tuple[float, float], ...] = ()

    def at(self, size: float) -> float:
        """Return the seconds for a size; 0 when nothing was measured.

        Between measured sizes by a power law. Beyond them by that of the last point and one of at most half its size,
        the power being at most 2; a power below 1 is read as a constant part and one in proportion to the size.

        Examples
        --------
        >>> Curve(((100, 1.0), (200, 4.0))).at(400), Curve(((100, 2.0), (200, 3.0))).at(400)
        (16.0, 5.0)
        """
        if not self.points:
            return 0.0
        sizes, seconds = np.maximum(np.array(self.points, dtype=float).T, 1e-9)
        if size <= sizes[-1]:
            return float(np.exp(np.interp(math.log(max(size, 1e-9)), np.log(sizes), np.log(seconds))))
        last, high = float(sizes[-1]), float(seconds[-1])
        before = np.flatnonzero(sizes <= last / 2)
        if len(before) == 0:
            return high * size / last
        start, low = float(sizes[before[-1]]), float(seconds[before[-1]])
        power = min(_HIGHEST_POWER, math.log(high / low) / math.log(last / start))
        if power >= 1:
            return float(high * (size / last) ** power)
        return high + max(0.0, high - low) / (last - start) * (size - last)


class Stopwatch:
    """Tells how long this process has worked since it was made."""

    def __init__(self) -> None:
        self._wall, self._own = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Return processor time, which waiting for a core does not lengthen; wall time for what mostly waits."""
        wall, own = time.perf_counter() - self._wall, time.process_time() - self._own
        return own if wall / _MOST_WAITING < own < wall else wall


class Clock:
    """Collects what pieces of work take, by name and size."""

    def __init__(self) -> None:
        self._points: dict[str, dict[float, float]] = {}

    def time(self, name: str, size: float, work: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """Do some work, and note what it took."""
        watch = Stopwatch()
        done = work(*given, **named)
        self.add(name, size, watch.seconds())
        return done

    def timed(self, name: str, size: float, work: Callable[P, R]) -> Callable[P, R]:
        """Return a function that does some work, and notes each time what it took."""

        def do(*given: P.args, **named: P.kwargs) -> R:
            return self.time(name, size, work, *given, **named)

        return do

    def add(self, name: str, size: float, seconds: float) -> None:
        """Note seconds; those of one name and size add up."""
        own = self._points.setdefault(name, {})
        own[size] = own.get(size, 0.0) + seconds

    def total(self, start: str, size: float) -> float:
        """Return what was noted for a size, under all names that begin alike."""
        return sum(own.get(size, 0.0) for name, own in self._points.items() if name.startswith(start))

    def curve(self, name: str) -> Curve:
        """Return what was noted under a name."""
        return Curve(tuple(sorted(self._points.get(name, {}).items())))

    def curves(self) -> dict[str, Curve]:
        """Return what was noted, by name."""
        return {name: self.curve(name) for name in self._points}


@dataclass(frozen=True)
class Costs:
    """What was measured of a recipe and its table, for any number of workers.

    Attributes
    ----------
    curves : mapping of str to Curve
        By training rows: ``fit/<source>``, ``sample/<source>`` (all its candidates), ``score/<scorer>`` (of all
        candidates, and their ``prediction`` by the teacher), ``pool/<piece>`` (teacher, encoding) and ``emission``.
        By real rows of a large table: ``rewrite``.
        By the rows that the estimator is trained on: ``fit``, and ``predict`` (of one row). By the trials before it:
        ``propose`` (one trial).
    arms : mapping of str to float
        Rows to train on per real row, by arm of the ladder.
    named, random : tuples of float
        The same for the trials that a search begins with, 0 where the ladder has them, and for random ones.
    ratio : float
        Candidates that a random plan asks for per real row.
    draw : float
        What a draw of the tuning takes, as a multiple of a fit with the recipe's settings.
    store : float
        Seconds to store a trial.
    resample : float
        Seconds of the bootstrap of one arm, for each row and resample.
    process : mapping of str to float
        Of a fresh process, the seconds to ``begin``, to ``load`` the synthesizers and to ``open`` a study, and the
        bytes it holds once it is ``bare``, ``loaded`` and ``opened``; empty where that cannot be measured.
    row_bytes, pool_bytes : float
        Bytes of work, and of the finished pool, for each training row.
    others : float
        Cores that other processes kept busy meanwhile.
    notes : tuple of str
        What could not be measured.
    """

    curves: Mapping[str, Curve]
    arms: Mapping[str, float]
    named: tuple[float, ...]
    random: tuple[float, ...]
    ratio: float
    draw: float
    store: float
    resample: float
    process: Mapping[str, float]
    row_bytes: float
    pool_bytes: float
    others: float
    notes: tuple[str, ...]

    def at(self, name: str, size: float) -> float:
        """Return the seconds of one curve; 0 when it was not measured."""
        return self.curves.get(name, Curve()).at(size)

    def total(self, start: str, size: float) -> float:
        """Return the seconds of all curves whose names begin alike."""
        return sum(curve.at(size) for name, curve in self.curves.items() if name.startswith(start))
