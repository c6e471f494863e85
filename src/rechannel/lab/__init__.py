"""Made markets with known truth, and the scoreboard that judges every method."""
