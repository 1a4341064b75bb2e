"""Datasets in parts, and one whole run that tests look at together."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_parts import SOFT, Emitted, Writer, curated, few_rows_are_many, table, without_realism


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Writer:
    """``write(plan, frame, data={...}, task={...})``: a dataset made by this plan, quickly."""
    few_rows_are_many(monkeypatch)
    without_realism(monkeypatch)
    return Writer(tmp_path / "runs")


@pytest.fixture(scope="session")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    """A run whose plan uses every setting: relabelled softly, filtered, tilted, with class weights."""
    # Patched while it is made only: what lasts as long as the session would reach every other test.
    with pytest.MonkeyPatch.context() as patch:
        few_rows_are_many(patch)
        return curated(patch, tmp_path_factory.mktemp("soft") / "run", SOFT, table())
