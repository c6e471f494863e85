"""One question, one file, one verb."""
