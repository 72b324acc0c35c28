"""What `bench feeds` reads: a process that sends one venue's frames over sockets, at a rate, and says how many.

python -m bench.feeds.sender VENUE PORT MARKETS RATE BURST OVER_S

RATE is of messages: each is a frame on every connection that tells of its market.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, zip_longest

from websockets.asyncio.server import ServerConnection, serve

from bench.feeds.venue import Venue
from bench.feeds.venues import VENUES

TURNS_A_S = 50
"""What is due is sent so many times a second."""

BURST_EVERY_S = 10


def first_turns(markets: int) -> list[int]:
    """Where each market begins, so that at any time one in three moves its top, and not all in the same seconds.

    From the third turn to the fifth the top stands where a client finds it at first.
    """
    return [4 + number % 3 for number in range(markets)]


def due_frames(passed_s: float, rate: int, burst: int, over_s: float) -> int:
    """How many frames are to be sent by then; a burst begins with each tenth second and takes `over_s`."""
    bursts, into_s = divmod(passed_s, BURST_EVERY_S)
    begun = min(1.0, into_s / over_s) if over_s else 1.0
    return int(passed_s * rate) + int(burst * (bursts - 1 + begun if bursts else 0.0))


def in_turn(told: Iterable[Sequence[int]]) -> list[int]:
    """Every market once, from what each socket tells, so that one socket after the other has something to send."""
    turns = chain.from_iterable(zip_longest(*told))
    return list(dict.fromkeys(number for number in turns if number is not None))


async def send(venue: Venue, port: int, markets: int, rate: int, burst: int, over_s: float) -> None:
    """Serves sockets until SIGTERM; then says how much it sent on each.

    It begins when all markets are subscribed, and writes its frames by itself: it must cost less than what it measures.
    """
    numbers: dict[ServerConnection, list[int]] = {}
    tellers: dict[int, list[ServerConnection]] = {number: [] for number in range(markets)}
    named = cache(venue.token)  # of a number of 77 digits it costs as much as all else
    sent: Counter[ServerConnection] = Counter()
    opened_ms = time.time_ns() // 1_000_000
    stop, begin = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def connected(socket: ServerConnection) -> None:
        mine = numbers.setdefault(socket, [])
        async for text in socket:
            answer = venue.answer(str(text), markets, opened_ms)
            for each in answer.texts:
                await socket.send(each)
                sent[socket] += answer.is_data
            mine += answer.numbers
            for number in answer.numbers:
                if socket not in tellers[number]:
                    tellers[number].append(socket)
            if sum(map(len, numbers.values())) >= markets * venue.copies:
                begin.set()

    async def flow() -> None:
        await begin.wait()
        began_s, place, planned, turns = time.monotonic(), 0, 0, first_turns(markets)
        order = in_turn(numbers.values())
        while not stop.is_set():
            await asyncio.sleep(1 / TURNS_A_S)
            due = due_frames(time.monotonic() - began_s, rate, burst, over_s) - planned
            planned += due
            at_ms = time.time_ns() // 1_000_000
            for _ in range(due):
                number = order[place % len(order)]
                place += 1
                frame = text_frame(venue.change(number, named(number), turns[number], at_ms).encode())
                turns[number] += 1
                for socket in tellers[number]:
                    if not socket.transport.is_closing():
                        socket.transport.write(frame)
                        sent[socket] += 1

    async with serve(connected, "127.0.0.1", port, compression=None, max_queue=None, ping_interval=None):
        flowing = asyncio.create_task(flow())
        await stop.wait()
        begin.set()
        await flowing
    print(json.dumps(list(sent.values())), flush=True)


def text_frame(body: bytes) -> bytes:
    """A whole text message of a server, 126 to 65,535 bytes (RFC 6455, 5.2)."""
    return b"\x81\x7e" + len(body).to_bytes(2) + body


if __name__ == "__main__":
    port, markets, rate, burst = map(int, sys.argv[2:6])
    asyncio.run(send(VENUES[sys.argv[1]], port, markets, rate, burst, float(sys.argv[6])))
