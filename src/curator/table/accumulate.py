"""Files joined into one table: earlier outputs beside new rows. A real row counts once, keeps its id, and stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

import numpy as np

from curator.errors import DataError
from curator.table.provenance import (
    KINDS,
    PROVENANCE,
    REAL,
    UNKNOWN,
    Earlier,
    Fed,
    Provenance,
    is_curated,
    kinds_of,
    next_number,
    weights_of,
)
from curator.table.read import Part, stacked
from curator.table.restore import NULLABLE
from curator.table.same import Keys, content_keys, id_hashes, row_keys

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC_ONLY = "the table holds synthetic rows only (column 'origin'); curation needs real rows to judge by"
# Where more of an output's own rows than this repeat each other, a row of another file that equals one may be another.
_MOST_REPEATS = 0.01
# Where an output is fed back, and its own weights are named as the table's.
WEIGHTS_OF_AN_OUTPUT = (
    "data.weight: sample_weight is what the output is to be trained with, weights of classes included; what its rows "
    "weighed before is no longer known"
)


@dataclass(frozen=True, eq=False)
class Joined:
    """Rows of several files.

    Attributes
    ----------
    frame : DataFrame
        The rows that the run learns from and judges by, in the order of the files.
    file : int array of shape (n,)
        Which file each is from.
    ids : array of shape (n,)
        The id that an earlier output gave the row, or None.
    exact, near : uint64 arrays of shape (n,), or None
        What tells the rows apart; None where nothing is known of them. See `curator.table.same.Keys`.
    mixed : tuple of str
        Columns that the files hold in different types.
    outputs : tuple of str
        By file, the run that wrote it, or else its path: files of one run hold different rows.
    fed, anchor : bool arrays of shape (n,)
        Whether the row is from an earlier output, or from the anchor.
    origin : {'real', 'unknown'}
    generation : int
    earlier : Earlier or None
    inputs : tuple of Fed
    names : tuple of str
        The files as a reader knows them.
    """

    frame: pd.DataFrame
    file: np.ndarray
    ids: np.ndarray
    fed: np.ndarray
    anchor: np.ndarray
    origin: str
    generation: int
    earlier: Earlier | None
    inputs: tuple[Fed, ...]
    names: tuple[str, ...]
    exact: np.ndarray | None = None
    near: np.ndarray | None = None
    mixed: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def says_nothing(self) -> bool:
        """Whether nothing is known of the rows but that they are real."""
        return self.origin == REAL and not self.fed.any() and not self.anchor.any()


def join(
    parts: Sequence[Part],
    declared: Literal["auto", "real", "unknown"],
    drop: Sequence[str],
    weight: str | None,
    decisions: list[str],
) -> Joined:
    """Join files; what is known of a row's provenance is taken out of the columns.

    Parameters
    ----------
    declared : {'auto', 'real', 'unknown'}
        What rows are about which no column says anything; ``real`` also overrules the columns.
    drop : sequence of str
        Columns that one file may lack: what a run has dropped is not in its output.
    weight : str or None
        The weight column, which may share its name with ours.

    Raises
    ------
    DataError
        When columns differ, or no row can be judged by.
    """
    curated = [is_curated(p.frame, p.about) for p in parts]
    own = [set(PROVENANCE) - {weight} if c else set() for c in curated]
    plain = [UNKNOWN if declared == "unknown" and not p.anchor else REAL for p in parts]
    says = [
        p.frame["origin"].to_numpy(object) if c and declared != "real" else np.full(len(p.frame), o, dtype=object)
        for p, c, o in zip(parts, curated, plain, strict=True)
    ]
    base = REAL if any((s == REAL).any() for s in says) else UNKNOWN
    if not any((s == base).any() for s in says):
        raise DataError(SYNTHETIC_ONLY)
    several = len(parts) > 1
    names = tuple(map(name_of, parts))
    real, rest, inputs = [], [], []
    for part, c, own_columns, origin, name in zip(parts, curated, own, says, names, strict=True):
        fed, taken = c and declared != "real", origin == base
        frame = part.frame.drop(columns=[col for col in part.frame.columns if col in own_columns])
        if fed:
            decisions += [f"{name}: {WEIGHTS_OF_AN_OUTPUT}"] if weight == PROVENANCE[0] else []
            inputs.append(_described(part, origin))
            decisions.append(_set_aside(f"{name}: " if several else "", int((~taken).sum()), int(taken.sum()), base))
        real.append(Part(part.source, part.path, _tightened(frame[taken], frame) if fed else frame[taken]))
        rest.append(Part(part.source, part.path, frame[~taken]))
    # What a run has dropped from its table is not in its output.
    frame = stacked(real, drop if any(curated) else ())
    generation = 0 if base == REAL else max(
        int(p.frame.loc[s == base, "generation"].max()) if c and declared != "real" else 1
        for p, c, s in zip(parts, curated, says, strict=True) if (s == base).any()
    )  # fmt: skip
    counts = [len(p.frame) for p in real]
    flags = [c and declared != "real" for c in curated]
    columns = [c for c in frame.columns if c not in drop and c != weight]
    keys = Keys((), ())
    if any(flags) or any(p.anchor for p in parts):
        keys = row_keys([p.frame for p in real], columns, names)
    return Joined(
        frame, np.repeat(np.arange(len(parts)), counts),
        np.concatenate([_ids(p, s == base, known) for p, s, known in zip(parts, says, flags, strict=True)]),
        np.repeat(flags, counts), np.repeat([p.anchor for p in parts], counts), base, generation,
        _earlier(parts, rest, says, base, flags, names), tuple(inputs), names,
        np.concatenate(keys.exact) if keys.exact else None, np.concatenate(keys.near) if keys.near else None,
        keys.mixed, tuple(map(_run_of, parts)),
    )  # fmt: skip


def name_of(part: Part) -> str:
    """Return what a file is called; only its name, since what follows it in a web address may be a secret."""
    return PurePath(part.path.partition("?")[0]).name or part.source


def _run_of(part: Part) -> str:
    """Return what tells the files of one run from those of others; parts of text have no note, but a folder."""
    path = PurePath(part.path)
    return str((part.about or {}).get("fingerprint") or (path.parent if path.name.startswith("part-") else path))


def _set_aside(name: str, rest: int, taken: int, base: str) -> str:
    kind = "real rows kept" if base == REAL else "rows of unknown depth kept"
    return f"{name}an earlier curated output: {rest} synthetic rows set aside, {taken} {kind}"


def _described(part: Part, origin: np.ndarray) -> Fed:
    import pandas as pd

    frame, marks = part.frame, pd.DataFrame({"kind": kinds_of(pd.Series(origin))})
    marks["generation"] = frame["generation"].to_numpy(np.int32)
    own = pd.Series([f"{part.path}#{i}" for i in range(len(frame))])
    marks["id"] = id_hashes(own if "row_id" not in frame else frame["row_id"].reset_index(drop=True).fillna(own))
    marks["key"] = np.uint64(0)
    real = marks["kind"] == KINDS.index(REAL)
    if real.any():
        marks.loc[real, "key"] = content_keys(frame[real.to_numpy()])
    return Fed(part.source, part.path, marks, part.about)


def _tightened(frame: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """Return real rows with the types they had before synthetic rows beside them had gaps in carried columns."""
    import pandas as pd

    changed: dict[str, str] = {}
    for name in frame.columns:
        values = frame[name]
        if values.isna().any() or not whole[name].isna().any():
            continue
        kind = values.dtype
        if str(kind) in NULLABLE:
            changed[name] = NULLABLE[str(kind)]
        elif pd.api.types.is_object_dtype(kind) and {type(v) for v in values} <= {bool}:
            changed[name] = "bool"
        elif pd.api.types.is_float_dtype(kind) and (values == np.floor(values)).all() and values.abs().max() < 2**53:
            changed[name] = "int64"
    return frame.astype(changed) if changed else frame


def _ids(part: Part, taken: np.ndarray, known: bool) -> np.ndarray:
    if not known or "row_id" not in part.frame:
        return np.full(int(taken.sum()), None, dtype=object)
    ids = part.frame.loc[taken, "row_id"]
    return np.array([str(i) if there else None for i, there in zip(ids, ids.notna(), strict=True)], dtype=object)


def _earlier(
    parts: Sequence[Part],
    rest: Sequence[Part],
    says: Sequence[np.ndarray],
    base: str,
    fed: Sequence[bool],
    names: Sequence[str],
) -> Earlier | None:
    """Return the rows that are set aside; the same candidate given twice stands once, two of one id stand apart."""
    import pandas as pd

    found, taken = [], dict[str, int]()
    shared = [str(c) for c in rest[0].frame if all(c in p.frame for p in rest)]
    every = row_keys([p.frame for p in rest], shared, names).exact
    for number, (part, own, origin, known) in enumerate(zip(parts, rest, says, fed, strict=True)):
        aside = origin != base
        if not aside.any():
            continue
        frame = own.frame.reset_index(drop=True)
        written = part.frame.loc[aside].reset_index(drop=True)
        ids = np.array([None] * len(frame), dtype=object)
        if known and "row_id" in written:
            ids = _ids(part, aside, known)
        for name in sorted(set(origin[aside])):
            of_it = origin[aside] == name
            ids[of_it] = _numbered(ids[of_it], str(name))
        about = pd.DataFrame({
            "origin": origin[aside].astype(str), "generation": written["generation"].to_numpy(int) if known else 1,
            "row_id": ids, "weight": _relative_weight(part, origin == base, names[number])[aside] if known else 1.0,
        })  # fmt: skip
        keys = pd.Series(every[number].astype(str)).str.cat(about["origin"], sep="/").to_numpy(object)
        first = ~about["row_id"].duplicated()
        key_of = dict(zip(about["row_id"][first], keys[first], strict=True))
        # The first row of a candidate stands for it: those beside it differ in their label alone.
        again = {i for i, k in key_of.items() if taken.get(f"{i}/{k}") is not None}
        new = ~about["row_id"].isin(again).to_numpy()
        apart = {i for i in key_of if i not in again and i in taken}
        about["row_id"] = [f"{i}~{number}" if i in apart else i for i in about["row_id"]]
        taken |= {f"{i}/{k}": 1 for i, k in key_of.items()} | dict.fromkeys(key_of, 1)
        found.append((frame[new], about[new]))
    if not found:
        return None
    frame = pd.concat([f for f, _ in found], ignore_index=True).rename(columns=str)
    about = pd.concat([a for _, a in found], ignore_index=True)
    return Earlier(
        frame, about["origin"].to_numpy(object), about["generation"].to_numpy(np.int64),
        about["row_id"].to_numpy(object), about["weight"].to_numpy(float),
    )  # fmt: skip


def _relative_weight(part: Part, real: np.ndarray, name: str) -> np.ndarray:
    """Return weights in units of what a real row of the same file has on average."""
    if "sample_weight" not in part.frame:
        return np.ones(len(part.frame))
    weight = weights_of(part.frame, "sample_weight", name)
    usual = float(weight[real].mean()) if real.any() else 1.0
    return weight / usual if usual > 0 else weight


def identified(joined: Joined, present: np.ndarray, decisions: list[str]) -> tuple[np.ndarray, Provenance | None]:
    """Tell which rows are one row seen twice, and give every row its id.

    An id and equal values in every column make two rows of outputs one. A row of a file without ids is one of an output
    by its values alone, as often as it stands there, if rows of the output hardly ever repeat each other; else equal
    rows may be different ones, and all are kept. Rows of the anchor are added where the other files lack them.

    Parameters
    ----------
    present : int array of shape (n,)
        Which rows of `joined` are left.

    Returns
    -------
    kept : int array
        Positions in `present`.
    provenance : Provenance or None
        Of the kept rows; None where nothing is known of them but that they are real.
    """
    import pandas as pd

    if joined.exact is None or joined.near is None or joined.says_nothing:
        return np.arange(len(present)), None if joined.says_nothing else Provenance.plain(len(present), joined.origin)
    about = pd.DataFrame({
        "id": joined.ids[present], "fed": joined.fed[present], "anchor": joined.anchor[present],
        "file": joined.file[present], "key": joined.exact[present], "near": joined.near[present],
    })  # fmt: skip
    named = about["id"].notna()
    # What stands in an output comes before what is copied from elsewhere, whatever the order of the files.
    order = np.argsort(about["anchor"].to_numpy() * 2 + ~about["fed"].to_numpy(), kind="stable")
    ranked = about.iloc[order]
    keep = ~(named & ranked.duplicated(["id", "key"]).reindex(about.index))
    taken = ranked[keep.reindex(ranked.index)].duplicated("id").reindex(about.index, fill_value=False)
    about.loc[named & taken, "id"] = None
    keep &= ~_under_another_id(about[about["fed"] & keep], joined, decisions).reindex(about.index, fill_value=False)
    known = about[about["fed"] & keep]
    counts = known["key"].value_counts()
    occurrence = about.groupby(["file", "key"]).cumcount()
    other = ~about["fed"] & ~about["anchor"]
    again = other & (occurrence < about["key"].map(counts).fillna(0))
    certain = len(known) > 0 and float((counts[counts > 1]).sum()) <= _MOST_REPEATS * len(known)
    for number in sorted(set(about.loc[again, "file"])):
        rows = int((again & (about["file"] == number)).sum())
        decisions.append(_repeated(joined.names[number], rows, certain=certain))
    if certain:
        keep &= ~again
    keep &= ~_in_the_table_already(about, keep, joined.names, decisions)
    # Rows that may be the same are enough: what an output was made from is not to judge what was made from it.
    new = other & ~about["near"].isin(about.loc[about["fed"] | about["anchor"], "near"])
    if joined.mixed:
        new &= False
        decisions.append(
            f"{', '.join(joined.mixed)}: the files differ in type, so that rows that are the same may look different, "
            "and none counts as new"
        )
    kept = np.flatnonzero(keep.to_numpy())
    ids = _numbered(about["id"].to_numpy(object)[kept], joined.origin)
    return kept, Provenance(joined.origin, joined.generation, ids, new.to_numpy()[kept])


def _under_another_id(fed: pd.DataFrame, joined: Joined, decisions: list[str]) -> pd.Series:
    """Return which rows an output before theirs holds under another id, where equal rows are hardly ever two."""
    import pandas as pd

    run = fed["file"].map(dict(enumerate(joined.outputs)))
    occurrence = fed.groupby([run, fed["key"]]).cumcount()
    again = pd.DataFrame({"key": fed["key"], "occurrence": occurrence}).duplicated()
    repeats = float(pd.DataFrame({"run": run, "key": fed["key"]}).duplicated(keep=False).sum())
    if not again.any() or repeats > _MOST_REPEATS * len(fed):
        return pd.Series(False, index=fed.index)
    decisions.append(f"{int(again.sum())} rows of outputs equal rows of other outputs under other ids, and stand once")
    return again


def _repeated(name: str, rows: int, *, certain: bool) -> str:
    if certain:
        return f"{name}: {rows} rows are those of an earlier output (every column is equal), and stand once"
    return (
        f"{name}: {rows} rows equal rows of an earlier output in every column, as rows of that output do each other: "
        "they are taken for different rows; leave them out of the file if they are not"
    )


def _in_the_table_already(
    about: pd.DataFrame, keep: pd.Series, names: Sequence[str], decisions: list[str]
) -> pd.Series:
    """Return which rows of the anchor the other files hold."""
    there = about.loc[keep & ~about["anchor"], "key"].value_counts()
    anchor = about["anchor"] & keep
    held = anchor & (about[anchor].groupby("key").cumcount().reindex(about.index) < about["key"].map(there).fillna(0))
    if anchor.any():
        which = ", ".join(dict.fromkeys(names[n] for n in about.loc[anchor, "file"]))
        rows, every = int((anchor & ~held).sum()), int(about["anchor"].sum())
        decisions.append(f"{which}: {rows} of {every} rows of the anchor were missing elsewhere, and are added")
    return held


def _numbered(ids: np.ndarray, origin: str) -> np.ndarray:
    """Give rows without an id the next numbers."""
    out, missing = ids.copy(), np.array([i is None for i in ids], dtype=bool)
    start = next_number([i for i in ids if i is not None], origin)
    out[missing] = [f"{origin}-{start + i}" for i in range(int(missing.sum()))]
    return out
