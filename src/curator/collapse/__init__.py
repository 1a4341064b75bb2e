"""Quality over time: whether a dataset decays, and what becomes of a table that feeds on its own output."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curator.collapse.simulate import Collapse


class _CallableModule(ModuleType):
    """Importing a module of this package makes `curator.collapse` the package; calling it must still simulate."""

    def __call__(self, *args: Any, **kwargs: Any) -> Collapse:
        from curator.collapse.simulate import collapse

        return collapse(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
