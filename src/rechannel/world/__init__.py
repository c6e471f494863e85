"""One fitted world: diversion, demand and customers with their uncertainty."""
