"""Polymarket in `bench feeds`: frames over 400 markets a socket, each an order's change of both outcomes' books."""

from __future__ import annotations

import json
from typing import Any

from bench.feeds.venue import Answer, goes_up
from kernel.clock import Clock
from producers.polymarket.sockets import TOKENS_A_SOCKET, PolymarketSockets

_FIRST_TOKEN = 10**76


class Polymarket:
    """Subscribed by token, each told on one connection; begins with books of two levels a side."""

    name, path, copies = "polymarket", "/ws/market", 1

    def token(self, number: int) -> str:
        """A token as long as a real one."""
        return f"{_FIRST_TOKEN + number}"

    def market_id(self, number: int) -> str:
        """As long as a real one."""
        return f"POLY:0x{number:064x}"

    def sockets(self, url: str, clock: Clock) -> PolymarketSockets:
        """Ours."""
        return PolymarketSockets(url)

    def connections(self, markets: int) -> int:
        """As few as hold them."""
        return -(-markets // TOKENS_A_SOCKET)

    def answer(self, text: str, markets: int, opened_ms: int) -> Answer:
        """Books of what is subscribed, in one message."""
        if text == "PING":
            return Answer(["PONG"], is_data=False)
        found = [int(token) - _FIRST_TOKEN for token in json.loads(text)["assets_ids"]]
        return Answer([json.dumps([self.book(number, opened_ms) for number in found])], found)

    def book(self, number: int, at_ms: int) -> dict[str, Any]:
        """An opening book with two levels a side."""
        levels = {"bids": (("0.39", "250"), ("0.4", "100")), "asks": (("0.43", "70"), ("0.42", "120"))}
        sides = {name: [{"price": p, "size": s} for p, s in rows] for name, rows in levels.items()}
        return {
            "event_type": "book", "market": f"0x{number:064x}", "asset_id": self.token(number),
            "timestamp": str(at_ms), "hash": "0" * 40, **sides,
        }  # fmt: skip

    def change(self, number: int, token: str, turn: int, at_ms: int) -> str:
        """One order: at the top in each third turn, below it in the others."""
        up = goes_up(turn)
        if turn % 3 == 0:
            price, size, best = "0.41", "35" if up else "0", "0.41" if up else "0.4"
        else:
            price, size, best = "0.39", str(100 + turn % 50), "0.41" if up else "0.4"
        other, other_best = f"{1 - float(price):.2f}", f"{1 - float(best):.2f}"
        digest = f"{number:020x}{turn:020x}"
        return (
            f'{{"market":"0x{number:064x}","price_changes":[{{"asset_id":"{token}","price":"{price}","size":"{size}",'
            f'"side":"BUY","hash":"{digest}","best_bid":"{best}","best_ask":"0.42"}},{{"asset_id":"9{token}",'
            f'"price":"{other}","size":"{size}","side":"SELL","hash":"{digest}","best_bid":"0.58",'
            f'"best_ask":"{other_best}"}}],"timestamp":"{at_ms}","event_type":"price_change"}}'
        )
