"""The speed benchmark: ``python -m benchmark.bench`` measures the cohort loop and writes a report."""
