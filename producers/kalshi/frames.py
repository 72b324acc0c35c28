"""Kalshi's WebSocket, frame by frame: bytes in, facts out. Pure: no I/O, no clock.

Every channel but `ticker` numbers its messages, one count for each subscription (sid); answers to commands take numbers
too. A number that is left out is told, and the books of that subscription are dropped until they are sent anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from producers.books import Side
from producers.facts import Ack, Facts, LastTrades, News, NewsWord, Top, Traded, read_frame
from producers.kalshi.settings import COMBO_PREFIX
from schemas.units import PPM, ppm_from_venue

BOOK, TICKER = "orderbook_delta", "ticker"
_NEWS: Final[Mapping[str, NewsWord]] = {
    "created": "listed",
    "activated": "changed",
    "deactivated": "changed",
    "close_date_updated": "changed",
    "metadata_updated": "changed",
    "price_level_structure_updated": "changed",
    "determined": "ended",
    "settled": "ended",
}
_UNUSED: Final = frozenset(("event_lifecycle", "event_fee_update", "multivariate_market_lifecycle"))


class _Book:
    """Bids of both outcomes in hundredths of a contract, and the top that was last told."""

    __slots__ = ("no", "told", "yes")

    def __init__(self) -> None:
        self.yes, self.no = Side(), Side()
        self.told: tuple[int | None, int | None] | None = None

    def top(self) -> tuple[int | None, int | None]:
        """Best bid and ask of YES: a NO bid at p is a YES ask at 1 - p."""
        return self.yes.highest, None if self.no.highest is None else PPM - self.no.highest


class KalshiFrames:
    """Reads the frames of one connection, whose subscriptions and numbers it keeps.

    `subscription` is that of the order books.
    """

    def __init__(self) -> None:
        self.subscription = 0
        self._books: dict[str, _Book] = {}
        self._channels: dict[int, str] = {}
        self._last: dict[int, int] = {}
        self._trades = LastTrades()
        self._kinds: dict[str, Callable[[dict[str, Any], Any, Facts], None]] = {
            "ticker": self._ticker,
            "trade": self._trade,
            "orderbook_snapshot": self._snapshot,
            "orderbook_delta": self._delta,
            "market_lifecycle_v2": self._lifecycle,
            "subscribed": self._subscribed,
            "unsubscribed": self._answered,
            "ok": self._answered,
            "error": self._refused,
        }

    def follow(self, tickers: Iterable[str]) -> None:
        """Books subscribed, now or anew: each begins with a snapshot, so there is nothing to note."""

    def leave(self, tickers: Iterable[str]) -> None:
        """Their books are not subscribed any more."""
        for ticker in tickers:
            self._books.pop(ticker, None)

    def read(self, body: bytes) -> Facts:
        """What a frame tells."""
        return read_frame(body, self._item)

    def _item(self, item: Any, facts: Facts) -> None:
        kind = item["type"]
        is_new = "seq" not in item or self._counts(_number(item["sid"]), _number(item["seq"]), kind, facts)
        if kind == "orderbook_delta" and not is_new:  # a change that is made twice makes a wrong book
            return
        reader = self._kinds.get(kind)
        if reader is None:
            facts.leave_out("unused" if kind in _UNUSED else "unknown_event")
            return
        message = item.get("msg") or {}
        ticker = message.get("market_ticker") if isinstance(message, dict) else None
        if isinstance(ticker, str) and ticker.startswith(COMBO_PREFIX):
            facts.leave_out("combo")
            return
        reader(item, message, facts)

    def _counts(self, sid: int, seq: int, kind: Any, facts: Facts) -> bool:
        """Numbers come without a gap. After one, no book of that subscription is right any more.

        False for a number that was there before. The count goes on from there with a whole book alone: should it be an
        old one, the next change leaves a hole. `kind` is what the frame says, a word or not.
        """
        last = self._last.get(sid)
        is_new = last is None or seq > last
        if not is_new:
            facts.leave_out("out_of_order")
        if is_new or kind == "orderbook_snapshot":
            self._last[sid] = seq
        if last is None or seq <= last + 1:
            return is_new
        channel = self._channels.get(sid, "")
        facts.missed[channel] = facts.missed.get(channel, 0) + seq - last - 1
        if channel == BOOK:
            facts.doubts.extend(self._books)
            self._books.clear()
        return True

    # ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ticker(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        ticker = _ticker(message)
        facts.heard.append(ticker)
        stamp_us = _stamp_us(message)
        bid, ask = _price(message["yes_bid_dollars"]), _price(message["yes_ask_dollars"])
        bid_size, ask_size = _size(message.get("yes_bid_size_fp")), _size(message.get("yes_ask_size_fp"))
        facts.facts.append(
            Top(
                ticker,
                None if not bid or bid_size == 0 else bid,
                None if ask in (None, 0, PPM) or ask_size == 0 else ask,
                bid_size,
                ask_size,
                stamp_us,
                stamp_us,
                last_ppm=_price(message.get("price_dollars")) or None,
                volume_contracts=_size(message.get("volume_fp")),
                channel=TICKER,
            )
        )

    def _trade(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        ticker = _ticker(message)
        facts.heard.append(ticker)
        price, contracts = _price(message["yes_price_dollars"]), _size(message.get("count_fp", message.get("count")))
        if price is None or contracts is None:
            raise ValueError("a trade without price or count")
        trade_id, ts_us = str(message["trade_id"]), _stamp_us(message)
        if not self._trades.is_first(trade_id):
            facts.leave_out("delivered_twice")
            return
        facts.facts.append(Traded(ticker, price, contracts, ts_us, trade_id))

    def _snapshot(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        """The key of an empty side is absent."""
        ticker = _ticker(message)
        book = _Book()
        for side, name in ((book.yes, "yes_dollars_fp"), (book.no, "no_dollars_fp")):
            for level in message.get(name) or ():
                if len(level) != 2:
                    raise ValueError(f"a level of {len(level)} parts")
                side.put(_level(level[0]), _hundredths(level[1]))
        self._books[ticker] = book
        facts.heard.append(ticker)
        facts.opened.append(ticker)
        self._tell(ticker, book, 0, int(message.get("clock", 0)), facts, opening=True)

    def _delta(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        """A signed change of one level."""
        ticker = _ticker(message)
        facts.heard.append(ticker)
        book = self._books.get(ticker)
        if book is None:
            facts.leave_out("no_snapshot_yet")
            return
        outcome = message["side"]
        if outcome not in ("yes", "no"):
            raise KeyError(outcome)
        side = book.yes if outcome == "yes" else book.no
        price = _level(message["price_dollars"])
        total = (side.size_at(price) or 0.0) + _hundredths(message["delta_fp"])
        if not 0 <= total < 1e15:
            facts.doubts.append(ticker)
            total = 0.0
        side.put(price, total)
        stamp_us = _stamp_us(message)
        self._tell(ticker, book, stamp_us, int(message.get("clock", stamp_us)), facts)

    def _tell(self, ticker: str, book: _Book, ts_us: int, order: int, facts: Facts, *, opening: bool = False) -> None:
        top = book.top()
        if top == book.told:
            facts.leave_out("top_unchanged")
            return
        book.told = top
        sizes = (_contracts(book.yes.size_at(top[0])), _contracts(book.no.size_at(book.no.highest)))
        facts.facts.append(Top(ticker, *top, *sizes, ts_us, order, opening, channel=BOOK))

    # ── what happens to markets, and to our subscriptions ────────────────────────────────────────────────────────────

    def _lifecycle(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        word = _NEWS.get(message["event_type"])
        if word is None:
            facts.leave_out("unknown_event")
            return
        stamps = (message.get(name) for name in ("settled_ts", "determination_ts", "open_ts"))
        ts_us = next((int(stamp) * 1_000_000 for stamp in stamps if stamp), 0)
        facts.facts.append(News(_ticker(message), word, ts_us))

    def _subscribed(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        sid, channel = int(message["sid"]), str(message["channel"])
        self._channels[sid] = channel
        if channel == BOOK:
            self.subscription = sid
        self._last.setdefault(sid, 0)
        facts.acks.append(Ack(int(item.get("id") or 0), channel, sid))

    def _answered(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        sid = int(item.get("sid") or 0)
        facts.acks.append(Ack(int(item.get("id") or 0), self._channels.get(sid, ""), sid))

    def _refused(self, item: dict[str, Any], message: Any, facts: Facts) -> None:
        code, text = int(message.get("code") or -1), str(message.get("msg"))
        facts.acks.append(Ack(int(item.get("id") or 0), "", 0, code, text))


def _ticker(message: Any) -> str:
    ticker = message["market_ticker"]
    if not isinstance(ticker, str):
        raise TypeError(f"market_ticker {ticker!r}")
    return ticker


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"no whole number: {value!r}")
    return value


def _price(text: Any) -> int | None:
    """Parts per million; None for what is absent or "" (never traded)."""
    if text is None or text == "":
        return None
    ppm = ppm_from_venue(text)
    if not 0 <= ppm <= PPM:
        raise ValueError(f"price {text!r} outside 0..1")
    return ppm


def _level(text: Any) -> int:
    price = _price(text)
    if price is None:
        raise ValueError("a level without a price")
    return price


def _size(text: Any) -> float | None:
    if text is None or text == "":
        return None
    size = float(text)
    if not 0 <= size < 1e15:
        raise ValueError(f"size {text!r}")
    return size


def _hundredths(text: Any) -> int:
    """A count, or a signed change of one, in hundredths of a contract."""
    contracts = float(text)
    if not -1e13 < contracts < 1e13:
        raise ValueError(f"count {text!r}")
    return round(contracts * 100)


def _contracts(hundredths: float | None) -> float | None:
    return None if hundredths is None else hundredths / 100


def _stamp_us(message: Any) -> int:
    """The venue's stamp: `ts_ms`, in older frames `ts` in seconds."""
    ms = int(message["ts_ms"]) if "ts_ms" in message else int(message["ts"]) * 1_000
    if not 0 < ms < 4_102_444_800_000:  # 2100
        raise ValueError(f"stamp {ms}")
    return ms * 1_000
