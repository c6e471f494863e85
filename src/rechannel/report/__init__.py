"""Figures, chapters and the published report."""
