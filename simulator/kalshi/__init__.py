"""Kalshi as its clients see it: REST, rows, sockets."""
