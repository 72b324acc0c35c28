"""`movers digest`: what moved while nobody looked, in a few lines."""
