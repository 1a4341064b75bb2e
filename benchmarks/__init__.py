"""Commands that measure: ``python -m benchmarks.<name>``. Not part of the installed package."""
