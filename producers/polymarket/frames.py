"""Polymarket's market channel, frame by frame: bytes in, facts out. Pure: no I/O, no clock.

Only subscribed tokens (outcome 0 of each market) are read. The venue gives no sequence numbers, but each price change
states the best prices after it: where the book that we keep disagrees, a message was missed, and the token is a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from kernel.errors import BadMessageError
from producers.books import Side
from producers.facts import Ack, Facts, LastTrades, News, Top, Traded, bad_frame, read_frame
from schemas.units import PPM, ppm_from_venue

POLYBOLT_CHANNEL: Final = "price.polymarket"
_UNUSED: Final = frozenset(("best_bid_ask",))
"""Not dependable (a real recording has hundreds of price changes without one, and some that contradict the book)."""


class _Book:
    """A token's book, and the top that was last told of it."""

    __slots__ = ("asks", "bids", "last", "told")

    def __init__(self) -> None:
        self.bids, self.asks = Side(), Side()
        self.last: tuple[Any, ...] = ()
        self.told: tuple[int | None, int | None] | None = None


class PolymarketFrames:
    """Reads the frames of one connection. `follow` says which tokens are subscribed."""

    def __init__(self) -> None:
        self.subscription = 0
        self._books: dict[str, _Book] = {}
        self._unopened: set[str] = set()
        self._trades = LastTrades()
        self._kinds: dict[str, Callable[[dict[str, Any], Facts], None]] = {
            "price_change": self._price_change,
            "book": self._book,
            "last_trade_price": self._trade,
            "tick_size_change": self._tick_size,
            "new_market": self._listed,
            "market_resolved": self._resolved,
        }

    def follow(self, tokens: Iterable[str]) -> None:
        """Subscribed, now or anew: the next book of each is an opening one."""
        self._unopened.update(tokens)

    def leave(self, tokens: Iterable[str]) -> None:
        """Not subscribed any more."""
        for token in tokens:
            self._books.pop(token, None)
            self._unopened.discard(token)

    def read(self, body: bytes) -> Facts:
        """What a frame tells."""
        return read_frame(body, self._item)

    def _item(self, item: Any, facts: Facts) -> None:
        kind = item["event_type"]
        reader = self._kinds.get(kind)
        if reader is None:
            facts.leave_out("unused" if kind in _UNUSED else "unknown_event")
        else:
            reader(item, facts)

    def _price_change(self, item: dict[str, Any], facts: Facts) -> None:
        """Levels of one market, mostly of both tokens. What counts is the state after the last entry of a token."""
        ts_us = _stamp_us(item)
        touched: dict[str, dict[str, Any]] = {}
        for entry in item["price_changes"]:
            token = entry["asset_id"]
            book = self._books.get(token)
            if book is None:
                if token not in self._unopened:
                    facts.leave_out("other_token")
                    continue
                book = self._books[token] = _Book()  # its opening book is on the way, or will never come
            last = (entry.get("hash"), entry["price"], entry["side"], entry["size"])
            if last == book.last:
                facts.leave_out("delivered_twice")
                facts.heard.append(token)
                continue
            book.last = last
            side = book.bids if entry["side"] == "BUY" else book.asks
            side.put(_price(entry["price"]), _size(entry["size"]))
            touched[token] = entry
        for token, entry in touched.items():
            self._told(token, self._books[token], _best(entry), ts_us, facts)

    def _told(self, token: str, book: _Book, stated: tuple[int | None, int | None], ts_us: int, facts: Facts) -> None:
        facts.heard.append(token)
        if stated != (book.bids.highest, book.asks.lowest) and token not in self._unopened:
            facts.doubts.append(token)
        if stated == book.told:
            facts.leave_out("top_unchanged")
            return
        book.told = stated
        facts.facts.append(_top(token, book, stated, ts_us))

    def _book(self, item: dict[str, Any], facts: Facts) -> None:
        """Replaces what we have of the token."""
        token = item["asset_id"]
        opening = token in self._unopened
        if not opening and token not in self._books:
            facts.leave_out("other_token")
            return
        book = _Book()
        for side, name in ((book.bids, "bids"), (book.asks, "asks")):
            for level in item[name]:
                side.put(_price(level["price"]), _size(level["size"]))
        known, self._books[token] = self._books.get(token), book
        top = (book.bids.highest, book.asks.lowest)
        book.told = top
        facts.heard.append(token)
        if opening:
            self._unopened.discard(token)
            facts.opened.append(token)
        elif known is not None and known.told == top:
            facts.leave_out("top_unchanged")
            return
        # Its last_trade_price is left alone: in real frames it can be the other outcome's (0.003 beside 0.996/0.997).
        facts.facts.append(_top(token, book, top, _stamp_us(item), opening=opening))

    def _trade(self, item: dict[str, Any], facts: Facts) -> None:
        token = item["asset_id"]
        if token not in self._books and token not in self._unopened:
            facts.leave_out("other_token")
            return
        facts.heard.append(token)
        ts_us = _stamp_us(item)
        parts = (item.get("transaction_hash") or ts_us, token, item["price"], item["size"], item.get("side"))
        trade_id = "/".join(map(str, parts))
        if not self._trades.is_first(trade_id):
            facts.leave_out("delivered_twice")
            return
        facts.facts.append(Traded(token, _price(item["price"]), _size(item["size"]), ts_us, trade_id))

    def _tick_size(self, item: dict[str, Any], facts: Facts) -> None:
        """The grid has changed: what stands in the old book is no longer sure."""
        token = item["asset_id"]
        if token in self._books:
            facts.heard.append(token)
            facts.doubts.append(token)
        else:
            facts.leave_out("other_token")

    def _listed(self, item: dict[str, Any], facts: Facts) -> None:
        facts.facts.append(News(_text(item["market"]), "listed", _stamp_us(item)))

    def _resolved(self, item: dict[str, Any], facts: Facts) -> None:
        facts.facts.append(News(_text(item["market"]), "ended", _stamp_us(item)))


class PolyBoltFrames:
    """Reads the envelopes of one connection to PolyBolt: `seq` counts them without a hole, and restarts with the
    connection."""

    def __init__(self) -> None:
        self.subscription = 0
        self._next: int | None = None

    def follow(self, tokens: Iterable[str]) -> None:
        """Each subscription brings a snapshot; nothing to remember."""

    def leave(self, tokens: Iterable[str]) -> None:
        """Nothing to forget."""

    def read(self, body: bytes) -> Facts:
        """The top that an envelope tells; a hole in `seq` and what the venue dropped are in `missed`."""
        facts = Facts()
        try:
            said = orjson.loads(body)
            if "op" in said:
                facts.acks.append(_ack(said))
            elif said["channel"] != POLYBOLT_CHANNEL:
                facts.leave_out("unknown_event")
            else:
                self._count(said, facts)
                if said["payload"]:  # a cold token has none yet
                    facts.facts.append(_bolt_top(said["payload"], opening=said.get("snapshot") is True))
        except orjson.JSONDecodeError as error:
            facts.bad.append(BadMessageError("not_json", str(error), body))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            facts.bad.append(bad_frame(error, body))
        return facts

    def _count(self, said: Mapping[str, Any], facts: Facts) -> None:
        number = int(said["seq"])
        missed = max(0, int(said.get("dropped", 0))) + (0 if self._next is None else max(0, number - self._next))
        self._next = number + 1
        if missed:
            facts.missed[POLYBOLT_CHANNEL] = missed


def _top(token: str, book: _Book, best: tuple[int | None, int | None], ts_us: int, *, opening: bool = False) -> Top:
    bid, ask = best
    return Top(token, bid, ask, book.bids.size_at(bid), book.asks.size_at(ask), ts_us, ts_us, opening)


def _best(entry: dict[str, Any]) -> tuple[int | None, int | None]:
    """The best prices that an entry states; an empty side is a bid of 0 or an ask of 1."""
    return _sides(_price(entry["best_bid"]), _price(entry["best_ask"]))


def _sides(bid_ppm: int, ask_ppm: int) -> tuple[int | None, int | None]:
    """Best prices as the venue states them: an empty side is a bid of 0, or an ask of 0 or 1."""
    return bid_ppm or None, None if ask_ppm in (0, PPM) else ask_ppm


def _price(text: Any) -> int:
    ppm = ppm_from_venue(text)
    if not 0 <= ppm <= PPM:
        raise ValueError(f"price {text!r} outside 0..1")
    return ppm


def _size(text: Any) -> float:
    size = float(text)
    if not 0 <= size < 1e15:
        raise ValueError(f"size {text!r}")
    return size


def _stamp_us(item: Mapping[str, Any]) -> int:
    """The venue's stamp: milliseconds, as text or (PolyBolt) as a number."""
    ms = int(item["timestamp"])
    if not 0 < ms < 4_102_444_800_000:  # 2100
        raise ValueError(f"timestamp {ms}")
    return ms * 1_000


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"no text: {value!r}")
    return value


def _ack(said: Mapping[str, Any]) -> Ack:
    refused = said["op"] == "error"
    return Ack(0, str(said.get("channel", "")), 0, int(refused), str(said.get("code", "")))


def _bolt_top(payload: Mapping[str, Any], *, opening: bool) -> Top:
    bid_ppm, ask_ppm = _sides(_price(payload["best_bid"] or 0), _price(payload["best_ask"] or 0))
    ts_us = _stamp_us(payload)
    token = payload["asset_id"]
    if not isinstance(token, str):
        raise TypeError(f"asset_id {token!r}")
    return Top(token, bid_ppm, ask_ppm, None, None, ts_us, ts_us, opening)
