"""The long series: coverage, false alarms and speed; `python -m benchmarks` writes `benchmarks/results`."""
