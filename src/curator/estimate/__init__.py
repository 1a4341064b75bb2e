"""What a run will cost: a few small fits are measured, and how they grow says the rest. No file is written."""

from curator.estimate.costs import Costs, Curve
from curator.estimate.rehearsal import measure
from curator.estimate.slow import slow_spots
from curator.estimate.stages import Estimate, estimate, forecast
from curator.estimate.words import in_words

__all__ = ["Costs", "Curve", "Estimate", "estimate", "forecast", "in_words", "measure", "slow_spots"]
