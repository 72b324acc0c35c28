"""Markets' values in the transaction of a checkpoint: read and written where Quix's own state would do it.

Quix asks some ten functions for one value, which costs as much as a market's state itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


class Values:
    """The values of a partition's markets: what was changed since the last checkpoint, and the store below.

    Args:
        updates: of each market, what was written, by full key.
        deletes: full keys of what was removed.
        stored: asks the store for a full key.
        changed: told before the first change.
    """

    def __init__(
        self,
        updates: dict[bytes, dict[bytes, bytes]],
        deletes: set[bytes],
        stored: Callable[[bytes], bytes | None],
        changed: Callable[[], None],
    ) -> None:
        self.updates = updates
        self.deletes = deletes
        self.stored = stored
        self._changed = changed
        self._is_changed = False

    def open(self, key: bytes, published_ms: int) -> MarketValues:
        """The values of one market; `processors.memory.Open`."""
        return MarketValues(self, key)

    def change(self) -> None:
        """Says that there is a change."""
        if not self._is_changed:
            self._changed()
            self._is_changed = True


class MarketValues:
    """One market's values; a `processors.memory.State`."""

    def __init__(self, of: Values, market: bytes) -> None:
        self._of = of
        self._market = market

    def get_bytes(self, key: str) -> bytes | None:
        """A value as it was last written, or None."""
        full = self._market + ending(key)
        of = self._of
        changed = of.updates.get(self._market)
        if changed is not None and full in changed:
            return changed[full]
        return None if full in of.deletes else of.stored(full)

    def set_bytes(self, key: str, value: bytes) -> None:
        """Writes a value."""
        self._of.change()
        full = self._market + ending(key)
        changed = self._of.updates.get(self._market)
        if changed is None:
            self._of.updates[self._market] = {full: value}
        else:
            changed[full] = value
        self._of.deletes.discard(full)

    def delete(self, key: str) -> None:
        """Removes a value, stored or not."""
        self._of.change()
        full = self._market + ending(key)
        changed = self._of.updates.get(self._market)
        if changed is not None:
            changed.pop(full, None)
        self._of.deletes.add(full)


_ENDINGS: Final[dict[str, bytes]] = {}


def ending(key: str) -> bytes:
    """What Quix puts behind a market to make the full key of one of its values."""
    known = _ENDINGS.get(key)
    if known is None:
        known = _ENDINGS[key] = f'|"{key}"'.encode()
    return known
