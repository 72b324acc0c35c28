"""What `bench feeds` reads: a process that sends one venue's frames over sockets, at a rate, and says how many.

python -m bench.feeds.sender PORT MARKETS RATE BURST OVER_S
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from functools import cache
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

TURNS_A_S = 50
"""What is due is sent so many times a second."""

BURST_EVERY_S = 10


def token(number: int) -> str:
    """A token as long as a real one."""
    return f"{10**76 + number}"


def book(number: int, at_ms: int) -> dict[str, Any]:
    """An opening book with two levels a side."""
    levels = {"bids": (("0.39", "250"), ("0.4", "100")), "asks": (("0.43", "70"), ("0.42", "120"))}
    sides = {name: [{"price": p, "size": s} for p, s in rows] for name, rows in levels.items()}
    return {
        "event_type": "book", "market": f"0x{number:064x}", "asset_id": token(number), "timestamp": str(at_ms),
        "hash": "0" * 40, **sides,
    }  # fmt: skip


def change(number: int, name: str, turn: int, at_ms: int) -> str:
    """The so-many-th change of a market with this token: each third moves the top up or down again."""
    up = turn % 6 < 3
    if turn % 3 == 0:
        price, size, best = "0.41", "35" if up else "0", "0.41" if up else "0.4"
    else:
        price, size, best = "0.39", str(100 + turn % 50), "0.41" if up else "0.4"
    other, other_best = f"{1 - float(price):.2f}", f"{1 - float(best):.2f}"
    digest = f"{number:020x}{turn:020x}"
    return (
        f'{{"market":"0x{number:064x}","price_changes":[{{"asset_id":"{name}","price":"{price}","size":"{size}",'
        f'"side":"BUY","hash":"{digest}","best_bid":"{best}","best_ask":"0.42"}},{{"asset_id":"9{name}",'
        f'"price":"{other}","size":"{size}","side":"SELL","hash":"{digest}","best_bid":"0.58","best_ask":"{other_best}"}}],'
        f'"timestamp":"{at_ms}","event_type":"price_change"}}'
    )


def first_turns(markets: int) -> list[int]:
    """Where each market begins, so that at any time one in three moves its top, and not all in the same seconds.

    From the fourth turn to the sixth the top stands where the opening book has it.
    """
    return [4 + number % 3 for number in range(markets)]


def due_frames(passed_s: float, rate: int, burst: int, over_s: float) -> int:
    """How many frames are to be sent by then; a burst begins with each tenth second and takes `over_s`."""
    bursts, into_s = divmod(passed_s, BURST_EVERY_S)
    begun = min(1.0, into_s / over_s) if over_s else 1.0
    return int(passed_s * rate) + int(burst * (bursts - 1 + begun if bursts else 0.0))


async def send(port: int, markets: int, rate: int, burst: int, over_s: float) -> None:
    """Serves sockets until SIGTERM; then says how much it sent.

    It begins when all markets are subscribed, and writes its frames by itself: it must cost less than what it measures.
    """
    numbers: dict[ServerConnection, list[int]] = {}
    named = cache(token)  # of a number of 77 digits it costs as much as all else
    sent = 0
    stop, begin = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def connected(socket: ServerConnection) -> None:
        nonlocal sent
        mine = numbers.setdefault(socket, [])
        async for text in socket:
            if text == "PING":
                await socket.send("PONG")
                continue
            found = [int(name) - 10**76 for name in json.loads(text)["assets_ids"]]
            await socket.send(json.dumps([book(number, time.time_ns() // 1_000_000) for number in found]))
            sent += 1
            mine += found
            if sum(map(len, numbers.values())) >= markets:
                begin.set()

    async def flow() -> None:
        nonlocal sent
        await begin.wait()
        began_s, place, planned, turns = time.monotonic(), 0, 0, first_turns(markets)
        sockets = list(numbers)
        while not stop.is_set():
            await asyncio.sleep(1 / TURNS_A_S)
            due = due_frames(time.monotonic() - began_s, rate, burst, over_s) - planned
            planned += due
            at_ms = time.time_ns() // 1_000_000
            for _ in range(due):
                place += 1
                socket = sockets[place % len(sockets)]
                if socket.transport.is_closing():
                    continue
                number = numbers[socket][place // len(sockets) % len(numbers[socket])]
                socket.transport.write(text_frame(change(number, named(number), turns[number], at_ms).encode()))
                turns[number] += 1
                sent += 1

    async with serve(connected, "127.0.0.1", port, compression=None, max_queue=None, ping_interval=None):
        flowing = asyncio.create_task(flow())
        await stop.wait()
        begin.set()
        await flowing
    print(sent, flush=True)


def text_frame(body: bytes) -> bytes:
    """A whole text message of a server, 126 to 65,535 bytes (RFC 6455, 5.2)."""
    return b"\x81\x7e" + len(body).to_bytes(2) + body


if __name__ == "__main__":
    port, markets, rate, burst = map(int, sys.argv[1:5])
    asyncio.run(send(port, markets, rate, burst, float(sys.argv[5])))
