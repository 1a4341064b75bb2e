"""The house has floors: imports point down, and no file holds two ideas."""

import ast
from pathlib import Path

import curator

SOURCE = Path(curator.__file__).parent

FLOORS = {
    "errors": 0,
    "records": 1, "progress": 1, "versions": 1, "predictions": 1, "quantiles": 1,
    "recipe": 2,
    "table": 3, "rundir": 3, "parallel": 3,
    "cluster": 4, "estimators": 4, "synthesize": 4, "rare": 4, "run": 4, "privacy": 4, "lineage": 4,
    "score": 5, "report": 5,
    "mix": 6,
    "evaluate": 7,
    "space": 8,
    "search": 9, "setup": 9,
    "pools": 10, "prepare": 10,
    "draft": 11, "ladder": 11, "guard": 11, "refit": 11,
    "certify": 12, "emit": 12, "worth": 12, "selection": 12,
    "growth": 13, "results": 13, "transfer": 13, "earlier": 13,
    "curate": 14, "estimate": 14,
    "collapse": 15,
    "cli": 16, "__init__": 16, "__main__": 17,
}  # fmt: skip


def modules():
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imported(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "curator":
            names = node.module.split(".")
            yield from [names[1]] if len(names) > 1 else [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            yield from [a.name.split(".")[1] for a in node.names if a.name.startswith("curator.")]


def test_every_room_has_a_floor():
    assert {room(p) for p in modules()} == set(FLOORS) - {"__main__"} | ({"__main__"} & {room(p) for p in modules()})


def test_imports_point_down():
    upward = [
        f"{path.relative_to(SOURCE)} (floor {FLOORS[room(path)]}) imports {name} (floor {FLOORS[name]})"
        for path in modules()
        for name in imported(path)
        if name in FLOORS and name != room(path) and FLOORS[name] >= FLOORS[room(path)]
    ]
    assert upward == []


def test_only_one_file_knows_each_heavy_package():
    knows = {package: set() for package in ("sdv", "optuna", "imblearn", "distributed", "faiss")}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                if name.split(".")[0] in knows:
                    knows[name.split(".")[0]].add(str(path.relative_to(SOURCE)))
    assert knows == {
        "sdv": {"synthesize/sdv.py"}, "optuna": {"search/study.py"}, "imblearn": {"synthesize/smote.py"},
        "distributed": {"cluster.py"}, "faiss": {"table/nearest.py"},
    }  # fmt: skip


def test_no_source_file_is_longer_than_400_lines():
    assert [p.name for p in modules() if len(p.read_text().splitlines()) > 400] == []
