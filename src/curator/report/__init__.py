"""Reports: read run directories only, fit nothing."""

from __future__ import annotations

from pathlib import Path

from curator.report.cards import write_cards
from curator.report.page import write_report
from curator.run import Run
from curator.rundir import RunDirectory

__all__ = ["redraw", "write_cards", "write_report"]


def redraw(run: Run) -> Path:
    """Write a finished run's report again, e.g. with a later version; return where it is."""
    directory = RunDirectory(run.path)
    write_report(directory)
    directory.record_anew(directory.report)
    return run.report_path
