"""Quality over time: whether a dataset decays, and what becomes of a table that feeds on its own output."""
