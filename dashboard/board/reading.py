"""What was read of a store into memory, which of its parts that was, and how to read on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from dashboard.board.moves import Columns, Moves
from dashboard.board.parts import Part, is_lost, unread
from dashboard.columns import COLUMNS
from dashboard.store import Store

_MOVES, _MARKETS = "movers_latest", "markets"
_MOST_MARKETS_BY_ID = 2_000
"""When more are new at once, the whole table of markets is read."""
_SAME_START_S = 2


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store says it consists of: the parts of each table, which tables these are, and when the store started."""

    parts: Mapping[str, list[Part]]
    ids: Mapping[str, str]
    """Of tables that have a part."""
    started_s: int

    @property
    def rows(self) -> int:
        """Moves, with those that were replaced and not merged away yet. Of markets only those that moved are held."""
        return sum(part.rows for part in self.parts[_MOVES])


def contents(store: Store) -> Contents:
    """Asks a store what it consists of.

    Raises:
        StoreUnavailableError: it is away, or has no tables yet.
    """
    told = store.rows("board_parts", COLUMNS["board_parts"])
    parts: dict[str, list[Part]] = {_MOVES: [], _MARKETS: []}
    for table, part, rows in told[["table", "part", "rows"]].itertuples(index=False, name=None):
        parts[table].append(Part.named(part, rows))
    ids = dict(zip(told["table"], told["store"], strict=True))
    return Contents(parts, ids, int(told["started_s"].max()) if len(told) else 0)


@dataclass(slots=True)
class Reading:
    """Moves in memory, and what of the store was read into them.

    Args:
        began: what the store said when it began.
    """

    began: Contents
    moves: Moves = field(default_factory=Moves)
    read: dict[str, list[Part]] = field(default_factory=lambda: {_MOVES: [], _MARKETS: []})
    markets_told: int = 0
    """Markets with a lower number were looked for in the store."""

    def is_doubtful(self, now: Contents) -> bool:
        """Whether what was read need not be part of what the store holds now, or the same number mean the same insert.

        Another table or server, a server that started again (it may have lost its last inserts and given their numbers
        anew), or rows that went.
        """
        return (
            any(now.ids.get(table, known) != known for table, known in self.began.ids.items())
            or abs(now.started_s - self.began.started_s) > _SAME_START_S
            or any(is_lost(parts, now.parts[table]) for table, parts in self.read.items())
        )

    def read_on(self, store: Store, now: Contents, lock: AbstractContextManager[object]) -> None:
        """Reads the rows of all parts that were not read yet. What failed half-way is read again by the next one.

        Args:
            lock: held while a block of rows is taken in, not while it is read.

        Raises:
            StoreUnavailableError: the store is away.
        """
        moves = self.moves
        self._read_parts(store, now, _MOVES, lock)
        new = moves.markets.names[self.markets_told :]
        if len(new) > _MOST_MARKETS_BY_ID:
            self.read[_MARKETS] = []
        self._read_parts(store, now, _MARKETS, lock)
        if 0 < len(new) <= _MOST_MARKETS_BY_ID:
            # Their rows may lie in parts that were read before the markets were known.
            _take(store.blocks("board_market_ids", market_ids=new), moves.put_markets, lock)
        self.markets_told += len(new)

    def _read_parts(self, store: Store, now: Contents, table: str, lock: AbstractContextManager[object]) -> None:
        query, put = {
            _MOVES: ("board_moves", self.moves.put_moves),
            _MARKETS: ("board_markets", self.moves.put_markets),
        }[table]
        wanted = unread(now.parts[table], self.read[table])
        # A part that was merged away since is not found. It stays unread, and so does what it became.
        found = _take(store.blocks(query, parts=[part.name for part in wanted]), put, lock) if wanted else set()
        self.read[table] = [part for part in now.parts[table] if part not in wanted or part.last in found]


def _take(blocks: Iterable[Columns], put: Callable[[Columns], None], lock: AbstractContextManager[object]) -> set[int]:
    """Takes rows in; the last inserts of the parts they came from. Between two blocks readers have their turn."""
    found: set[int] = set()
    for block in blocks:
        with lock:
            put(block)
        found.update(block["last_block"].tolist())
    return found
