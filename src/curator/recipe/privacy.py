"""What attacks on synthetic rows may achieve before a recipe's export is refused."""

from __future__ import annotations

from pydantic import Field

from curator.recipe.base import Model


class PrivacyBounds(Model):
    """The most that each kind of attack may achieve where synthetic rows leave alone; 1 lets everything pass."""

    auc: float = Field(
        0.55, ge=0.5, le=1, description="Most AUC of an attack that tells rows learned from from rows of the holdout."
    )
    tpr_at_1pct_fpr: float = Field(
        0.05, ge=0.01, le=1, description="Most rows learned from that it finds at 1 % false positives, as a share."
    )
    copies: float = Field(
        0.0, ge=0, le=1, description="Most unique rows learned from that are repeated exactly, beyond chance, a share."
    )
    attribute: float = Field(
        0.05, ge=0, le=1, description="Most risk that a column of a row learned from is guessed, beyond holdout rows."
    )
