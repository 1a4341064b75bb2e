"""What tests of whole runs share: small searches on the recipes of the repository."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
SMALL = ["search.trials=6", "task.folds=3", "task.repeats=1", "search.max_ratio=5"]
# Wherever the teacher is not what is tested: its ensemble is most of what such runs cost.
QUICK = [*SMALL, "filters.agreement.teacher=logistic_regression"]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
