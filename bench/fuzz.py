"""Plays mutated answers of both venues through a collector's intake, and mutated frames through its readers.

    python -m bench.fuzz 100000 --seed 1 [--venue NAME]

The answers are the made ones and, where they are at hand, the rows of all recorded ones; the frames likewise. Ends with
the first event that must not be, or the first error that escapes, and the seed to see it again.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from producers.registry import VENUES
from tests.producers.fuzzing import fuzz, recorded
from tests.producers.test_frame_fuzz import check
from tests.producers.test_frame_fuzz import fuzz as fuzz_frames


def main() -> None:
    """Fuzzes each venue and prints what became of the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutants", type=int, nargs="?", default=100_000, help="answers a venue")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=tuple(VENUES), help="this one alone")
    given = parser.parse_args()
    for venue in VENUES if given.venue is None else [given.venue]:
        began_s, real = time.process_time(), recorded(venue)
        result = fuzz(venue, given.mutants, given.seed, real)
        cost_us = (time.process_time() - began_s) / given.mutants * 1e6
        print(f"{venue}: {result}; {len(real)} recorded rows ({cost_us:.0f} us of CPU each, seed {given.seed})")
        began_s, told = time.process_time(), Counter[str]()
        for facts in fuzz_frames(venue, given.mutants, given.seed):
            check(facts)
            told.update(facts=len(facts.facts), refused=len(facts.bad))
        cost_us = (time.process_time() - began_s) / given.mutants * 1e6
        print(f"{venue} frames: {given.mutants}, {dict(told)} ({cost_us:.0f} us of CPU each)")


if __name__ == "__main__":
    main()
