"""Collectors: one folder a venue, each publishing raw answers and normalised markets and ticks."""
