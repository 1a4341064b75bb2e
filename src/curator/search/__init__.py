"""The search: which mix does best on held-out real rows."""

from curator.search.course import AHEAD, Pair, SearchTask, run_search, rungs
from curator.search.judgement import RECENT, near_best, select, worth_going_on
from curator.search.study import STARTUP_TRIALS, Study, propose

__all__ = [
    "AHEAD",
    "RECENT",
    "STARTUP_TRIALS",
    "Pair",
    "SearchTask",
    "Study",
    "near_best",
    "propose",
    "run_search",
    "rungs",
    "select",
    "worth_going_on",
]
