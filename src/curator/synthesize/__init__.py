"""Sources of candidate rows behind one small protocol."""

from curator.synthesize.per_class import split_count
from curator.synthesize.protocol import (
    SYNTHESIZERS,
    TARGET,
    ClassSampler,
    Entry,
    Synthesizer,
    check_synthesizer,
    find_synthesizer,
    make_synthesizer,
    synthesizer_version,
)
from curator.synthesize.within import MADE_FOR, WithinSlices

__all__ = [
    "MADE_FOR",
    "SYNTHESIZERS",
    "TARGET",
    "ClassSampler",
    "Entry",
    "Synthesizer",
    "WithinSlices",
    "check_synthesizer",
    "find_synthesizer",
    "make_synthesizer",
    "split_count",
    "synthesizer_version",
]
