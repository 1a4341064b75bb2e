"""Turn a real table into the best dataset to train on.

>>> import curator
>>> run = curator.curate("recipes/titanic.yaml")        # doctest: +SKIP
>>> model.fit(run.X, run.y, sample_weight=run.sample_weight)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curator.collapse.audit import Audit, audit
    from curator.collapse.simulate import Collapse, collapse
    from curator.curate import curate
    from curator.errors import CuratorError, UserError
    from curator.evaluate import restore_prior
    from curator.privacy import privacy_figures
    from curator.recipe import PrivacyBounds, Recipe, load_recipe
    from curator.report.compare import Comparison, compare
    from curator.run import Run, load_run

__version__ = "0.1.0"

# Heavy packages are imported when a name is first used: `import curator` costs nothing.
_HOMES = {
    "Audit": "curator.collapse.audit",
    "Collapse": "curator.collapse.simulate",
    "Comparison": "curator.report.compare",
    "CuratorError": "curator.errors",
    "PrivacyBounds": "curator.recipe",
    "Recipe": "curator.recipe",
    "Run": "curator.run",
    "UserError": "curator.errors",
    "audit": "curator.collapse.audit",
    "collapse": "curator.collapse.simulate",
    "compare": "curator.report.compare",
    "curate": "curator.curate",
    "load_recipe": "curator.recipe",
    "load_run": "curator.run",
    "privacy_figures": "curator.privacy",
    "restore_prior": "curator.evaluate",
}

__all__ = [
    "Audit",
    "Collapse",
    "Comparison",
    "CuratorError",
    "PrivacyBounds",
    "Recipe",
    "Run",
    "UserError",
    "__version__",
    "audit",
    "collapse",
    "compare",
    "curate",
    "load_recipe",
    "load_run",
    "privacy_figures",
    "restore_prior",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'curator' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    # The module curator.curate would otherwise shadow the function of the same name.
    globals()[name] = value
    return value
