"""A finished run, read from its directory. Nothing is fitted and nothing executable is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.errors import RunDirectoryError
from curator.rundir import FORMAT_VERSION, RunDirectory, read_json
from curator.table import PROVENANCE

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """The result of a run.

    Attributes
    ----------
    path : Path
        The run directory.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self.path = directory.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, verdict={self.verdict!r}, emitted={self.results['verdict']['emitted']!r})"

    @cached_property
    def results(self) -> dict[str, Any]:
        """Everything in ``results.json``: verdict, arms, slices, composition."""
        content: dict[str, Any] = read_json(self._directory.results)
        return content

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything in ``manifest.json``: versions, seeds, hashes, wall times."""
        content: dict[str, Any] = read_json(self._directory.manifest)
        return content

    @property
    def lineage(self) -> list[dict[str, Any]]:
        """The earlier runs whose outputs were among its files, each with its own lineage; see `curator.lineage`."""
        return list(self.manifest.get("lineage", []))

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.results["name"])

    @property
    def verdict(self) -> str:
        """``better``, ``not_worse``, ``undecided`` or ``worse``."""
        return str(self.results["verdict"]["name"])

    @property
    def summary(self) -> dict[str, Any]:
        """What a list of runs shows of it."""
        return {
            "path": str(self.path),
            "name": self.name,
            "finished": self.manifest["finished"],
            "metric": self.results["metric"]["name"],
            "verdict": self.results["verdict"],
        }

    @cached_property
    def data(self) -> pd.DataFrame:
        """The curated dataset: the table's columns, then sample_weight, origin, generation, row_id.

        All of it is read into memory; `data_path` is for datasets that do not fit.
        """
        return _read(self.data_path)

    @property
    def data_path(self) -> Path:
        """``curated.parquet``, or for a large table the folder ``curated`` of parquet files."""
        return self._directory.data

    @property
    def synthetic_path(self) -> Path | None:
        """``synthetic.parquet``, the one file that is meant to leave; None where it was not asked for, or refused."""
        path = Path(self._directory.synthetic)
        return path if path.is_file() else None

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802  # the field's name
        """The columns that a model learns from."""
        features: pd.DataFrame = self.data[self.results["features"]]
        return features

    @property
    def y(self) -> pd.Series:
        """The target, shape (n_rows,)."""
        target: pd.Series = self.data[self.results["target"]]
        return target

    @property
    def sample_weight(self) -> pd.Series:
        """Row weights, positive, shape (n_rows,)."""
        return self.data[PROVENANCE[0]]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial: parameters, fold scores, delta to real-only, state, seconds."""
        import pandas as pd

        return pd.read_parquet(self._directory.trials)

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """One row a candidate: id, source, seed, scores, decision, drop reason."""
        parts = Path(self._directory.ledger_parts)
        return _read(parts if parts.is_dir() else Path(self._directory.ledger))

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        return Path(self._directory.report)


def _read(path: Path) -> pd.DataFrame:
    """Read one file, or all files of a folder in the order of their names."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    if path.is_file():
        frame: pd.DataFrame = pd.read_parquet(path)
        return _with_categories(frame, json.loads((pq.read_schema(path).metadata or {}).get(b"pandas", b"{}")))
    files = sorted(str(p) for p in path.glob("part-*.parquet"))
    table = ds.dataset(files, format="parquet").to_table() if files else pa.table({})
    about = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    noted = about.get("columns", [])
    # Int8 or boolean; what is called int8 or bool has no room for gaps.
    types = {c["name"]: c["numpy_type"] for c in noted}
    nullable = {n for n, t in types.items() if t[:1].isupper() or t == "boolean" or t.endswith("[pyarrow]")}
    plain = [f for f in table.schema if f.name not in nullable and table[f.name].null_count]
    gaps = {f.name for f in plain if pa.types.is_integer(f.type) or pa.types.is_boolean(f.type)}
    frame = table.drop_columns(sorted(gaps)).to_pandas()
    # A whole number that is missing in some rows must not become a float: keys have more digits than floats.
    for place, name in enumerate(table.schema.names):
        if name in gaps:
            kind = table.schema.field(name).type
            unsigned, flag = pa.types.is_unsigned_integer(kind), pa.types.is_boolean(kind)
            dtype = pd.BooleanDtype() if flag else pd.UInt64Dtype() if unsigned else pd.Int64Dtype()
            frame.insert(place, name, table[name].to_pandas(types_mapper={kind: dtype}.get))
    return _with_categories(frame, about)


def _with_categories(frame: pd.DataFrame, about: Mapping[str, Any]) -> pd.DataFrame:
    """Return categories as such: parquet keeps those of words, and of numbers and flags what they are made of."""
    noted = [c["name"] for c in about.get("columns", []) if c["pandas_type"] == "categorical"]
    lost = [name for name in noted if name in frame and str(frame[name].dtype) != "category"]
    return frame.astype(dict.fromkeys(lost, "category"))


def load_run(path: str | os.PathLike[str]) -> Run:
    """Open a finished run.

    Raises
    ------
    RunDirectoryError
        When `path` holds no finished run, or one of a later format.
    """
    directory = RunDirectory(path)
    if not directory.path.is_dir():
        raise RunDirectoryError(f"{path}: there is no such run directory")
    if not directory.complete:
        started = directory.started.is_file()
        what = "the run has not ended; run its recipe again to continue" if started else "is no run directory"
        raise RunDirectoryError(f"{path}: {what}")
    manifest = read_json(directory.manifest)
    if not directory.results.is_file() or "format" not in manifest:
        raise RunDirectoryError(f"{path}: is no run directory, or has lost a part (results.json)")
    if manifest.get("format", 0) > FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path}: was written by a later version ({manifest.get('curator')}); install that version to read it"
        )
    return Run(directory)


def find_runs(folder: str | os.PathLike[str]) -> list[Run]:
    """Return the finished runs in a folder, the newest first."""
    base = Path(folder)
    if not base.is_dir():
        raise RunDirectoryError(f"{folder}: there is no such folder; runs are made by `curator run RECIPE`")
    found = []
    for place in base.iterdir():
        try:
            found.append(load_run(place))
        except RunDirectoryError:
            continue  # not a run, or one that has not ended or lacks a part
    return sorted(found, key=lambda r: str(r.manifest.get("finished", "")), reverse=True)
