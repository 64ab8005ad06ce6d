"""Benchmarks of the project itself: ``python -m benchmark.bench SUBJECT`` measures here and writes a report."""
