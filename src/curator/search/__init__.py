"""The search: which mix does best on held-out real rows."""

from curator.search.course import AHEAD, Pair, Result, SearchTask, run_search, rungs
from curator.search.fits import TrialFits
from curator.search.judgement import RECENT, average_plan, near_best, select, starting_point, worth_going_on
from curator.search.objective import Guard, Objective, Scores, front, ladder_scores, merits
from curator.search.study import STARTUP_TRIALS, Study, propose

__all__ = [
    "AHEAD",
    "RECENT",
    "STARTUP_TRIALS",
    "Guard",
    "Objective",
    "Pair",
    "Result",
    "Scores",
    "SearchTask",
    "Study",
    "TrialFits",
    "average_plan",
    "front",
    "ladder_scores",
    "merits",
    "near_best",
    "propose",
    "run_search",
    "rungs",
    "select",
    "starting_point",
    "worth_going_on",
]
