"""A day squeezed into an hour: does anything grow that should not, and does what is old leave?

`python -m tests.soak` runs it, `sampling.py` measures and judges, `test_sampling.py` holds the measuring to its word.
"""
