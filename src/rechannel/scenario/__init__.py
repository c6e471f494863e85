"""Interventions applied to one fitted world, day by day and draw by draw."""
