"""Which runs a table's rows have come through: noted in every dataset, kept in the manifest, drawn as a tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.errors import RunDirectoryError
from curator.rundir import RunDirectory, file_hash, read_json
from curator.table import KINDS, REAL, Fed, counted, digest_of

if TYPE_CHECKING:
    import pandas as pd

Entry = dict[str, Any]
# What may differ between two runs of one recipe on the same files: where they lie, what is beside them, and when.
_OF_THE_PLACE = frozenset({"source", "manifest_sha256", "unchanged"})


def lineage_of(inputs: Sequence[Fed]) -> list[Entry]:
    """Return one entry for each earlier run whose output is among the files, in their order.

    An entry has ``source``, ``run``, ``fingerprint``, ``manifest_sha256``, ``unchanged`` (whether the file is as its
    run's manifest says; null where no manifest is beside it), ``real_rows`` (how many rows its run learned from),
    ``as_made`` (whether the real rows of the file are these, by what they say; null where the run has not noted it),
    ``rows`` and ``generations`` (different rows of the file, by kind and by generation) and the run's own ``lineage``.
    What is not known is null.
    """
    import pandas as pd

    outputs: dict[object, list[tuple[Entry, Fed]]] = {}
    for number, fed in enumerate(inputs):
        entry = _entry(fed)
        # The files of one large dataset are one output; a row that stands in two of them is one row.
        outputs.setdefault(entry["fingerprint"] or number, []).append((entry, fed))
    found = []
    for files in outputs.values():
        entry, marks = files[0][0], pd.concat([fed.marks for _, fed in files], ignore_index=True)
        rows, generations = counted(marks)
        states = {e["unchanged"] for e, _ in files}
        unchanged = next((s for s in (False, None) if s in states), True)
        as_made = _as_made(marks, entry.pop("real_digest"))
        found.append(entry | {
            "unchanged": unchanged, "as_made": as_made, "rows": rows,
            "generations": {str(k): n for k, n in generations.items()},
        })  # fmt: skip
    return found


def _as_made(marks: pd.DataFrame, digest: str | None) -> bool | None:
    real = marks[marks["kind"] == KINDS.index(REAL)]
    if digest is None or "key" not in real:
        return None
    return digest_of(real["id"].to_numpy(), real["key"].to_numpy()) == digest


def of_any_place(entries: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return a lineage less what changes with the place and the time of a run; that a file was changed is told."""
    return [
        {k: of_any_place(v) if k == "lineage" else v for k, v in e.items() if k not in _OF_THE_PLACE}
        | ({"unchanged": False} if e.get("unchanged") is False else {})
        for e in entries
    ]


def note(run: str, fingerprint: str, rows: int, digest: str | None, entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return what a run notes in the metadata of the files that it writes: the same bytes wherever and whenever it ran.

    Parameters
    ----------
    rows : int
        Of the table that it learned from.
    digest : str or None
        Of what these rows say, where it has been looked at; see `curator.table.real_digest`.
    """
    content = {
        "run": run, "fingerprint": fingerprint, "real_rows": rows, "real_digest": digest,
        "lineage": of_any_place(entries),
    }  # fmt: skip
    return json.dumps(content, sort_keys=True).encode()


def unaccounted(entries: Sequence[Mapping[str, Any]]) -> str:
    """Say why it cannot be told which real rows the synthetic ones of these outputs were made from; empty if it can."""
    for e in entries:
        name = e["run"] or e["source"]
        if e["real_rows"] is None:
            return f"{name} does not say which real rows it was made from"
        missing = e["real_rows"] - e["rows"].get(REAL, 0)
        if missing > 0:
            return f"{name} comes without {missing} of the real rows it was made from"
        if e["unchanged"] is False:
            return f"the output of {name} has been changed since its run"
        # A file that is as its manifest says needs no other proof; text cannot give it.
        if e["unchanged"] is None and e["as_made"] is None:
            return f"{name} does not say which real rows it was made from"
        if e["unchanged"] is None and not e["as_made"]:
            return f"the real rows that come with {name} are not those that it was made from"
    return ""


def tree(entries: Sequence[Mapping[str, Any]], indent: str = "") -> Iterator[str]:
    """Yield one line for each run of a lineage, those that it came from below it."""
    for place, e in enumerate(entries):
        last = place == len(entries) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{_line(e)}"
        yield from tree(e["lineage"], indent + ("   " if last else "│  "))


def _line(e: Mapping[str, Any]) -> str:
    name = f"{e['run']} ({e['fingerprint'][:8]})" if e["fingerprint"] else "an output of which nothing is known"
    depths = ", ".join(f"{n:,} of generation {d}" for d, n in e["generations"].items() if int(d) > 0)
    kinds = " and ".join(f"{n:,} {kind}" for kind, n in e["rows"].items())
    text = f"{name}: {kinds} rows" + (f" ({depths})" if depths else "")
    if e.get("source"):
        text += f"; {e['source']}"
    if e.get("manifest_sha256"):
        text += f"; manifest {e['manifest_sha256'][:12]}"
    if e.get("unchanged") is False:
        text += "; the file has been changed since its run"
    return text


def _entry(fed: Fed) -> Entry:
    about = _checked(fed.about)
    beside = _beside(fed.path) if fed.path else None
    if beside is not None and about is not None and beside[1].get("fingerprint") != about["fingerprint"]:
        beside = None  # it lies in the folder of another run
    known: Mapping[str, Any] = about or {}
    unchanged, sha = None, None
    if beside is not None:
        path, manifest, unchanged = beside
        known, sha = _checked(manifest) or {}, file_hash(path)
    return {
        "source": fed.source, "run": known.get("name", known.get("run")), "fingerprint": known.get("fingerprint"),
        "manifest_sha256": sha, "unchanged": unchanged, "real_rows": known.get("real_rows"),
        "real_digest": known.get("real_digest"), "lineage": known.get("lineage", []),
    }  # fmt: skip


def _beside(path: str) -> tuple[Path, Mapping[str, Any], bool] | None:
    """Return the manifest of the run that a file is of, its content, and whether the file is as that says."""
    file = Path(path)
    for folder in (file.parent, file.parent.parent):
        directory = RunDirectory(folder)
        if not directory.complete:
            continue
        try:
            content = read_json(directory.manifest)
        except RunDirectoryError:
            continue  # a damaged manifest says nothing of the file, which may be whole
        files = content.get("files") if isinstance(content, dict) else None
        name = str(file.relative_to(folder))
        if isinstance(files, dict) and name in files:
            stat = file.stat()
            same = _hashed(file, stat.st_size, stat.st_mtime_ns) == files[name]
            return Path(directory.manifest), content, same
    return None


@lru_cache(maxsize=256)
def _hashed(file: Path, size: int, written: int) -> str:  # noqa: ARG001  # part of the cache's key
    return file_hash(file)


def _checked(about: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return what is ours of a file's note, or of a manifest; metadata may be anyone's, and what is odd is unknown."""
    if about is None or not isinstance(about.get("fingerprint"), str):
        return None
    if not isinstance(about.get("name", about.get("run")), str):
        return None
    rows, digest, entries = about.get("real_rows"), about.get("real_digest"), about.get("lineage", [])
    return {
        **about, "real_rows": rows if _is_count(rows) else None,
        "real_digest": digest if isinstance(digest, str) else None,
        "lineage": [dict(e) for e in entries] if _is_lineage(entries) else [],
    }  # fmt: skip


def _is_lineage(entries: object) -> bool:
    """Whether these are entries of a lineage, down to the first run."""
    return isinstance(entries, list) and all(
        isinstance(e, dict)
        and e.keys() >= {"run", "fingerprint", "real_rows", "rows", "generations", "lineage"}
        and all(e[k] is None or isinstance(e[k], str) for k in ("run", "fingerprint"))
        and all(e.get(k) is None or isinstance(e[k], str) for k in ("source", "manifest_sha256"))
        and (e["real_rows"] is None or _is_count(e["real_rows"]))
        and all(isinstance(e[k], dict) and all(map(_is_count, e[k].values())) for k in ("rows", "generations"))
        and all(str(d).isdecimal() for d in e["generations"])
        and _is_lineage(e["lineage"])
        for e in entries
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
