"""The words everyone shares: channels, estimates, grades, errors, wording and numbers."""
