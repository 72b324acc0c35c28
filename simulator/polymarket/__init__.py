"""Polymarket as its clients see it: REST, rows, sockets."""
