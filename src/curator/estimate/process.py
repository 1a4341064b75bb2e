"""What a process takes: seconds and bytes of a fresh one, and how this one grows."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from curator.estimate.costs import Stopwatch
from curator.parallel import ONE_THREAD
from curator.search import Study, propose
from curator.space import Space
from curator.synthesize import TARGET, make_synthesizer

NETWORKS = frozenset({"ctgan", "tvae", "copula_gan"})
_EVERY = 0.02
_PATIENCE = 120.0


def resident() -> int | None:
    """Return the bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class FreshProcess:
    """A process that does what a worker does before its first task, beside this one."""

    def __init__(self, synthesizers: Sequence[str]) -> None:
        code = "from curator.estimate.process import tell; tell()"
        self._child: subprocess.Popen[str] | None = None
        with contextlib.suppress(OSError):
            self._child = subprocess.Popen(  # noqa: S603  # this interpreter, and this package
                [sys.executable, "-c", code, json.dumps(sorted(set(synthesizers)))],
                env={**os.environ, **ONE_THREAD, "TQDM_DISABLE": "1"},
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.communicate()

    def figures(self) -> Mapping[str, float]:
        """Wait for it, and return what it tells; empty when it could not be run. See `Costs.process`."""
        if self._child is None:
            return {}
        try:
            said, _ = self._child.communicate(timeout=_PATIENCE)
            return {str(k): float(v) for k, v in json.loads(said.splitlines()[-1]).items() if v is not None}
        except (subprocess.TimeoutExpired, ValueError, IndexError, AttributeError):
            return {}


def tell() -> None:
    """Begin as a worker begins, then as a search does, and print what that took."""
    import numpy as np
    import pandas as pd
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    from curator.score import build  # noqa: F401

    # Since the process was made: the imports above are part of it.
    begin, bare, watch = time.process_time(), resident(), Stopwatch()
    numbers = np.random.default_rng(0).normal(size=60)
    words = np.where(numbers > 0, "a", "b").astype(object)
    rows = pd.DataFrame({"number": numbers, "word": words, TARGET: np.roll(words, 1)})
    for name in json.loads(sys.argv[1]):
        # A synthesizer may refuse these rows; it is loaded all the same.
        with contextlib.suppress(Exception):
            made = make_synthesizer(name, {"epochs": 1} if name in NETWORKS else {})
            made.fit(rows, categorical=("word", TARGET), seed=0)
            made.sample(10, seed=0)
    load, loaded = watch.seconds(), resident()
    import plotly.graph_objects  # noqa: F401  # the report is drawn by the process that has searched

    watch = Stopwatch()
    space = Space(("a",), ("keep",), {}, "off", False, 1.0)
    propose(space, [], [], 1, 0)
    Study(Path(), "sqlite://", "estimate", space).close()
    took = {"begin": begin, "load": load, "open": watch.seconds()}
    sys.stdout.write(json.dumps({**took, "bare": bare, "loaded": loaded, "opened": resident()}) + "\n")


class Watch:
    """Watches this process, and the others beside it.

    Attributes
    ----------
    growth : int
        By how many bytes this process has grown at most; 0 where the system does not tell.
    others : float
        Cores that other processes have kept busy; 0 where the system does not tell.
    """

    def __init__(self) -> None:
        self.growth, self.others = 0, 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._start, self._begun, self._busy = resident() or 0, time.perf_counter(), _busy_elsewhere()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        busy = _busy_elsewhere()
        if busy is not None and self._busy is not None:
            self.others = max(0.0, (busy - self._busy) / (time.perf_counter() - self._begun))

    def _look(self) -> None:
        while not self._done.wait(_EVERY):
            self.growth = max(self.growth, (resident() or 0) - self._start)


def _busy_elsewhere() -> float | None:
    """Return the seconds that the machine's cores have worked for others since it was started."""
    try:
        spent = [int(n) for n in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]]
    except (OSError, ValueError, IndexError):
        return None
    own = os.times()
    # The fourth and fifth columns are idle.
    return (sum(spent[:8]) - sum(spent[3:5])) / os.sysconf("SC_CLK_TCK") - own.user - own.system
