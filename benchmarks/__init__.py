"""Measurements of speed, memory and search, each runnable by itself: `python -m benchmarks.NAME`."""
