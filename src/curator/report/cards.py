"""The dataset's papers: a data card for people, and Croissant metadata for machines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from curator.errors import RunDirectoryError
from curator.report import words
from curator.report.history import depth_words, earlier_words, source_words
from curator.report.page import environment, read_recipe
from curator.rundir import RunDirectory, file_hash, read_json, write_json, write_text

if TYPE_CHECKING:
    import pyarrow as pa

CROISSANT = "http://mlcommons.org/croissant/1.0"
NOT_STATED = "not stated"
_PROVENANCE = {
    "sample_weight": "Weight to train with, positive.",
    "origin": "`real`, or the synthesizer that made the row.",
    "generation": "0 for a real row; a synthetic row is one more than the rows it was learned from.",
    "row_id": "Which real row or candidate it is; a candidate written once per class has one id in all its rows.",
}


@dataclass(frozen=True)
class CardColumn:
    """One column of the curated dataset.

    Attributes
    ----------
    name : str
    stored : str
        Arrow type in the parquet file.
    type : str
        Its schema.org type, e.g. ``sc:Float``.
    about : str
    word : bool
        Whether its values are text, which most estimators want encoded.
    gaps : bool
        Whether pandas reads it as whole numbers or flags that may be missing.
    """

    name: str
    stored: str
    type: str
    about: str
    word: bool
    gaps: bool


def write_cards(directory: RunDirectory) -> None:
    """Write the data card (``README.md``) and the Croissant metadata (``croissant.json``) of a run.

    Raises
    ------
    RunDirectoryError
        When the directory holds no results or no curated dataset.
    """
    for needed in (directory.results, directory.data):
        if not needed.exists():
            raise RunDirectoryError(f"{directory.path}: holds no {needed.name}, so that there is nothing to describe")
    results: dict[str, Any] = read_json(directory.results)
    recipe = read_recipe(directory)
    columns = card_columns(directory, results)
    write_text(directory.card, _card(results, recipe, columns, directory))
    write_json(directory.croissant, _croissant(results, recipe, columns, directory))


def card_columns(directory: RunDirectory, results: Mapping[str, Any]) -> list[CardColumn]:
    """Return the columns of the curated dataset in the file's order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(_files_of_data(directory)[0])
    frame = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    dtypes = {c["name"]: c.get("numpy_type", "") for c in frame.get("columns", [])}
    described = {c["name"]: _about(c) for c in results["columns"]} | _PROVENANCE
    out = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        gaps = str(dtypes.get(field.name, ""))[:3] in {"Int", "UIn", "boo"}
        out.append(
            CardColumn(
                field.name, str(kind), _croissant_type(kind), described.get(field.name, ""), _is_text(kind), gaps
            )
        )
    return out


def _about(column: Mapping[str, Any]) -> str:
    what = {"feature": "Feature", "target": "Target", "carried": "Carried along, not learned from"}
    text = f"{what.get(column['role'], str(column['role']).capitalize())}; {column['kind']}"
    return f"{text} ({column['note']})." if column["note"] else f"{text}."


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _croissant_type(kind: pa.DataType) -> str:
    import pyarrow as pa

    types = (
        (pa.types.is_boolean, "sc:Boolean"),
        (pa.types.is_integer, "sc:Integer"),
        (pa.types.is_floating, "sc:Float"),
        (pa.types.is_decimal, "sc:Float"),
        (pa.types.is_timestamp, "sc:DateTime"),
        (pa.types.is_date, "sc:Date"),
        (pa.types.is_time, "sc:Time"),
    )
    return next((name for test, name in types if test(kind)), "sc:Text")


def _card(
    results: Mapping[str, Any], recipe: Mapping[str, Any], columns: list[CardColumn], directory: RunDirectory
) -> str:
    form = (recipe.get("output") or {}).get("labels", "weighted")
    plan = words.plan_of(results["selected"]["plan"])
    mixed = results["verdict"]["emitted"] == "mix"
    source = source_words((recipe.get("data") or {}).get("source"))
    markdown = environment(escape=False)
    markdown.filters |= {"code": _code, "text": _text}
    return markdown.get_template("card.md.j2").render(
        r=results,
        recipe=recipe,
        columns=columns,
        words=words,
        snippet=snippet(results, columns, directory.data.name),
        source=re.sub(r"(?<=://)[^/@\s]*@", "", source),
        plan=words.plan_words(plan, results["task"], form) if mixed else [],
        sdv=words.sdv_sources(recipe),
        depths=depth_words(results),
        earlier=earlier_words(results),
        files=_files(directory),
    )


def snippet(results: Mapping[str, Any], columns: list[CardColumn], data: str) -> str:
    """Return Python that trains a model on the dataset: text encoded, weights used."""
    by_name = {c.name: c for c in columns}
    dated = {c["name"] for c in results["columns"] if c["kind"] == "datetime"}
    dated |= {c.name for c in columns if c.stored.startswith("duration") and c.name in results["features"]}
    features = [by_name[f] for f in results["features"] if f in by_name and f not in dated]
    text = [c.name for c in features if c.word]
    numbers = [c.name for c in features if not c.word]
    # What pandas holds as missing in whole numbers and flags, scikit-learn wants as NaN.
    cast = {c.name: "float64" for c in features if c.gaps}
    model = f"HistGradientBoosting{'Regressor' if results['task'] == 'regression' else 'Classifier'}"
    fit = f"model.fit(data[text + numbers], data[{results['target']!r}]"
    return "\n".join(
        [
            "import pandas as pd",
            "from sklearn.compose import make_column_transformer",
            f"from sklearn.ensemble import {model}",
            "from sklearn.pipeline import make_pipeline",
            "from sklearn.preprocessing import OrdinalEncoder",
            "",
            f'data = pd.read_parquet("{data}"){f".astype({cast!r})" if cast else ""}',
            f"text, numbers = {text!r}, {numbers!r}",
            'codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)',
            f'model = make_pipeline(make_column_transformer((codes, text), remainder="passthrough"), {model}())',
            f"{fit}, {model.lower()}__sample_weight=data['sample_weight'])",
            *([f"# Dates and durations are left out, since they need encoding: {sorted(dated)!r}"] if dated else []),
        ]
    )


def _files(directory: RunDirectory) -> dict[str, str]:
    about = {
        directory.data: "the dataset",
        directory.curated_csv: "the same rows as text",
        directory.synthetic: "synthetic rows alone: the one file here that is meant to leave",
        directory.synthetic_csv: "the same rows as text",
        directory.ledger_parts if directory.ledger_parts.is_dir() else directory.ledger: (
            "every candidate row, and what became of it"
        ),
        directory.results: "every figure",
        directory.trials: "every trial of the search",
        directory.report: "the report, one page that needs no network",
        directory.recipe: "what was asked for",
        directory.croissant: "metadata in the Croissant format",
        directory.manifest: "versions, seeds, and the sha256 of every file",
    }
    # The last two are not there yet when the card is written.
    later = {directory.croissant, directory.manifest}
    return {path.name: what for path, what in about.items() if path.exists() or path in later}


def _croissant(
    results: Mapping[str, Any], recipe: Mapping[str, Any], columns: list[CardColumn], directory: RunDirectory
) -> dict[str, Any]:
    data = _distribution(directory)
    finished = read_json(directory.manifest)["finished"] if directory.complete else datetime.now(UTC).isoformat()
    about = f"Training data for predicting {results['target']!r} ({results['task']}): real rows, and synthetic ones"
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": results["name"],
        "description": f"{about} where these are shown to help. {results['verdict']['sentence']}",
        "license": (recipe.get("data") or {}).get("license") or NOT_STATED,
        "datePublished": str(finished)[:10],
        "version": "1.0.0",
        "distribution": data,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "description": "One record a row to train on.",
                "field": [_field(c, data[-1]) for c in columns],
            }
        ],
    }


def _files_of_data(directory: RunDirectory) -> list[Path]:
    data = directory.data
    return sorted(data.glob("part-*.parquet")) if data.is_dir() else [data]


def _distribution(directory: RunDirectory) -> list[dict[str, Any]]:
    """Return one object a file, and for several of them the set that they make up at the end."""
    files = _files_of_data(directory)
    found: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": str(file.relative_to(directory.path)),
            "name": file.name,
            "description": "The curated dataset." if len(files) == 1 else "A part of the curated dataset.",
            "contentUrl": str(file.relative_to(directory.path)),
            "contentSize": f"{file.stat().st_size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file_hash(file),
        }
        for file in files
    ]
    if directory.data.is_dir():
        name = directory.data.name
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": name,
                "name": name,
                "description": "The curated dataset.",
                "encodingFormat": "application/x-parquet",
                "includes": f"{name}/part-*.parquet",
            }
        )
    return found


def _field(column: CardColumn, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        # An id is part of an IRI; the name is the column's own.
        "@id": f"rows/{quote(column.name, safe='')}",
        "name": column.name,
        "description": column.about,
        "dataType": column.type,
        "source": {
            "fileSet" if data["@type"] == "cr:FileSet" else "fileObject": {"@id": data["@id"]},
            "extract": {"column": column.name},
        },
    }


def _context() -> dict[str, Any]:
    """Return the JSON-LD context that Croissant 1.0 asks for."""
    data = {"@id": "cr:data", "@type": "@json"}
    examples = {"@id": "cr:examples", "@type": "@json"}
    data_type = {"@id": "cr:dataType", "@type": "@vocab"}
    plain = (
        "citeAs", "column", "conformsTo", "data", "dataType", "equivalentProperty", "examples", "extract", "field",
        "fileProperty", "fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5",
        "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
        "source", "subField", "transform",
    )  # fmt: skip
    special: dict[str, Any] = {
        "conformsTo": "dct:conformsTo", "data": data, "dataType": data_type, "examples": examples,
    }  # fmt: skip
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        **{name: special.get(name, f"cr:{name}") for name in plain},
    }


def _code(text: object) -> str:
    """Return text as a Markdown code span, whatever characters it has, fit for a table's cell."""
    plain = re.sub(r"\s+", " ", str(text)).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest else ""
    return f"{fence}{padding}{plain}{padding}{fence}"


def _text(text: object) -> str:
    """Return text in which nothing is read as HTML or as a table's border."""
    plain = re.sub(r"\s+", " ", str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("|", "\\|")
