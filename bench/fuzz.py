"""Plays mutated answers of both venues through a collector's intake: `python -m bench.fuzz 100000 --seed 1`.

Ends with the first event that must not be, or the first error that escapes, and the seed to see it again.
"""

from __future__ import annotations

import argparse
import time

from producers.registry import VENUES
from tests.producers.fuzzing import fuzz


def main() -> None:
    """Fuzzes each venue and prints what became of the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutants", type=int, nargs="?", default=100_000, help="answers a venue")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for venue in VENUES:
        began_s = time.perf_counter()
        result = fuzz(venue, given.mutants, given.seed)
        rate = given.mutants / (time.perf_counter() - began_s)
        print(f"{venue}: {result} ({rate:.0f} a second, seed {given.seed})")


if __name__ == "__main__":
    main()
