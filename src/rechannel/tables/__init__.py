"""The canonical tables as arrays and records."""
