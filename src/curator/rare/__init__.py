"""Rare cases: slices that must not get worse, and weights that make rare classes count."""

from curator.rare.slices import LEAST_HOLDOUT_ROWS, Slice, declared_slices, discover_slices
from curator.rare.weights import class_shares, class_weights

__all__ = ["LEAST_HOLDOUT_ROWS", "Slice", "class_shares", "class_weights", "declared_slices", "discover_slices"]
