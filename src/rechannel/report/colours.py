"""Colours by role, not by order: Okabe-Ito on light pages, lighter kin on dark; no red for bad, no green for good."""

from __future__ import annotations

OWN = "#0072b2"
RIVAL = "#d55e00"
OUTSIDE = "#767b85"
COUNTERFACTUAL = "#14181f"
RULE = "#3b414b"
TEXT = "#4a505b"
GRID = "#e3e6ea"
AXIS = "#9aa0aa"
PAPER = "#fefefe"

ROLES: dict[str, str] = {
    OWN: "var(--own)",
    RIVAL: "var(--rival)",
    OUTSIDE: "var(--outside)",
    COUNTERFACTUAL: "var(--counterfactual)",
    RULE: "var(--rule)",
    TEXT: "var(--chart-text)",
    GRID: "var(--chart-grid)",
    AXIS: "var(--chart-axis)",
    PAPER: "var(--paper)",
}
"""Light colour in the drawing -> CSS variable in the page; `style.css` gives each variable both its values."""
