"""The same event on two venues: which markets may be pairs, which are, and how their prices go together."""
