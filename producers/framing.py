"""Where a WebSocket's messages lie in the bytes of a server (RFC 6455, 5.2). Pure."""

from __future__ import annotations

from typing import Final

_WHOLE_TEXT: Final = 0x81
"""First byte of a frame that is a text message by itself, not compressed."""

_MASKED: Final = 0x80
"""From there on the second byte says that a frame is masked, which a server must not do."""


def whole_texts(data: bytes, at: int, most_bytes: int) -> tuple[list[bytes], int]:
    """The text messages of one frame each that lie whole in these bytes from `at` on, where a frame begins, up to the
    first other or larger frame or cut; and where they end."""
    found: list[bytes] = []
    end = len(data)
    while end - at >= 2 and is_text(data, at):
        start, stop = payload(data, at)
        if start > end or stop > end or stop - start > most_bytes:
            break
        found.append(data[start:stop])
        at = stop
    return found, at


def is_text(data: bytes, at: int) -> bool:
    """Whether the frame that begins there, with its first two bytes, is a whole text message."""
    return data[at] == _WHOLE_TEXT and data[at + 1] < _MASKED


def payload(data: bytes, at: int) -> tuple[int, int]:
    """Where the payload of a frame begins and ends, as far as it can be told from these bytes."""
    start = at + 2
    if start > len(data):
        return start, start
    length = data[at + 1] & 127
    if length > 125:
        start += 2 if length == 126 else 8
        if start > len(data):
            return start, start
        length = int.from_bytes(data[at + 2 : start], "big")
    return start, start + length
