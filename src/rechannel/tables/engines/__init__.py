"""Journeys on the company's own engine: the same tables as SQL; only small ones come back."""
