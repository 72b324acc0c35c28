"""The bad day on purpose: the whole pipeline against the simulated venues, broken at random, then audited.

`world.py` runs the processes, `trouble.py` breaks them, `ledger.py` says what is missing, doubled, untold or misjudged.
`python -m tests.chaos` is the long form, `test_chaos.py` the short one.
"""
