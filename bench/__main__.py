"""`make bench`: what the pipeline sustains from producer to stored row, and what a tick costs in each processor.

    python -m bench pipeline [--rate 2000] [--for 90]     the whole product on this machine, real producers
    python -m bench processing                            the processors beside a bare loop doing the same job
    python -m bench signal_quality                        how well alerts find jumps (only when asked for)
    python -m bench feeds [--markets 110000] [--shards 2] from a streamed frame to Kafka's ack (only when asked for)
    python -m bench first_minutes [--markets 220000]      from a start to ticks and boards (only when asked for)
    python -m bench store [--markets 1000]                bytes of a stored tick, by column (only when asked for)
    python -m bench latency [--rate 2000]                 from a change to its alert on the topic (only when asked for)
    python -m bench looked_at TAPE …                      four ways of telling, on a recording (only when asked for)
    python -m bench scale                                 by markets and windows; restarts; sink (only when asked for)
    python -m bench plan_way                              PostgreSQL, movers by SQL, beside ours (only when asked for)
    python -m bench board [--markets 200000]              the pages' questions, idle and loaded (only when asked for)
    python -m bench                                       the first two

Prints tables, and JSON under bench/results/.
"""

from __future__ import annotations

import sys

from bench import (
    board,
    first_minutes,
    latency,
    looked_at,
    pipeline,
    plan_way,
    processing,
    scale,
    signal_quality,
    store,
)
from bench.feeds import command as feeds

PARTS = {"pipeline": pipeline.main, "processing": processing.main}
ON_DEMAND = {
    "signal_quality": signal_quality.main,
    "looked_at": looked_at.main,
    "feeds": feeds.main,
    "first_minutes": first_minutes.main,
    "store": store.main,
    "latency": latency.main,
    "scale": scale.main,
    "plan_way": plan_way.main,
    "board": board.main,
}


def main(arguments: list[str]) -> int:
    """Runs the named part, or all of them; 0 when every part ran."""
    known = PARTS | ON_DEMAND
    if arguments and arguments[0] in known:
        return known[arguments[0]](arguments[1:])
    if arguments:
        sys.stderr.write(f"unknown part {arguments[0]}; known: {', '.join(known)}\n")
        return 2
    return max(part([]) for part in PARTS.values())


sys.exit(main(sys.argv[1:]))
