"""Starting up is cheap because heavy packages are imported where they are used. Times are in benchmarks/speed."""

import subprocess
import sys

import pytest

HEAVY = ["sdv", "torch", "sklearn", "pandas", "numpy", "optuna", "plotly", "pyarrow", "sqlalchemy"]


@pytest.mark.parametrize(
    "code",
    ["import curator", "import runpy, sys; sys.argv = ['curator', '--help']; from curator.cli.app import main\n"
     "try: main()\nexcept SystemExit: pass"],
)  # fmt: skip
def test_nothing_heavy_is_imported(code):
    script = f"{code}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_shows_its_names():
    import curator

    for name in curator.__all__:
        assert getattr(curator, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = curator.nothing


@pytest.mark.parametrize("first", ["import curator.curate", "import curator; curator.audit"])
@pytest.mark.parametrize("name", ["curate", "collapse"])
def test_functions_can_be_called_whatever_was_imported_first(name, first):
    script = f"{first}, curator; " if first.startswith("import curator.") else f"{first}; "
    script += f"assert callable(curator.{name}); from curator import {name}; assert callable({name})"
    subprocess.run([sys.executable, "-c", script], check=True)
