"""What past data say: findings, series, measured impact, placebo calibration, the ledger."""
