"""Attacks on synthetic rows, and what they achieve: on rows that were learned from, beside rows that were not."""

from curator.privacy.figures import privacy_figures
from curator.privacy.report import LIMITS, PrivacyFigure, PrivacyReport

__all__ = ["LIMITS", "PrivacyFigure", "PrivacyReport", "privacy_figures"]
