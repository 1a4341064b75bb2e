"""Reports: read run directories only, fit nothing."""

from curator.report.cards import write_cards
from curator.report.page import write_report

__all__ = ["write_cards", "write_report"]
