"""Rare cases: slices that must not get worse, and weights that make rare classes count."""

from curator.rare.discover import discover_slices, with_losses
from curator.rare.regions import LEAST_SUPPORT, drawn_in, high_loss_regions
from curator.rare.rules import AllOf, Term
from curator.rare.slices import LEAST_GUARDED_ROWS, LEAST_HOLDOUT_ROWS, Slice, declared_slices
from curator.rare.weights import capped, class_shares, class_weights, hard_weights, odds_weights

__all__ = [
    "LEAST_GUARDED_ROWS",
    "LEAST_HOLDOUT_ROWS",
    "LEAST_SUPPORT",
    "AllOf",
    "Slice",
    "Term",
    "capped",
    "class_shares",
    "class_weights",
    "declared_slices",
    "discover_slices",
    "drawn_in",
    "hard_weights",
    "high_loss_regions",
    "odds_weights",
    "with_losses",
]
