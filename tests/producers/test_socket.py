"""Frames cut out of the stream by ourselves: the same messages as by the library alone, however the bytes are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from producers import line
from producers.line import _Socket

_FIN, _MASKED = 0x80, 0x80


class ByTheLibrary(_Socket):
    """All bytes through the library's own parser."""

    def data_received(self, data: bytes) -> None:
        ClientConnection.data_received(self, data)


class Transport(asyncio.Transport):
    """Takes what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


def told(made: Callable[[ClientProtocol], _Socket], stream: bytes, cuts: list[int]) -> tuple[list[bytes], Any]:
    """The messages handed on, and how the connection stands after them: its state, close code, and what it answered."""

    async def run() -> tuple[list[bytes], Any]:
        protocol = ClientProtocol(parse_uri("ws://venue/"), max_size=line.MAX_FRAME_BYTES)
        socket, transport, heard = made(protocol), Transport(), list[bytes]()
        socket.connection_made(transport)
        request = protocol.connect()
        protocol.send_request(request)
        socket.send_data()
        socket.deliver_to(heard.append)
        asked = len(transport.sent)
        key = accept_key(request.headers["Sec-WebSocket-Key"])
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {key}\r\n\r\n"
        )
        whole = answer.encode() + stream
        edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
        for start, stop in pairwise(edges):
            socket.data_received(whole[start:stop])
        answers = transport.sent[asked:]
        # Answers are masked anew each time: which frames they are is what counts.
        return heard, (protocol.state, protocol.close_code, protocol.close_reason, len(answers))

    return asyncio.run(run())


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin).serialize(mask=False)


FRAMES = st.one_of(
    st.builds(frame, st.just(1), st.binary(max_size=300)),
    st.builds(frame, st.just(1), st.integers(65_530, 65_540).map(bytes)),
    st.builds(frame, st.sampled_from([0, 1, 2]), st.binary(max_size=130), fin=st.booleans()),
    st.builds(frame, st.sampled_from([9, 10]), st.binary(max_size=125)),
    st.just(frame(8, Close(1000, "bye").serialize())),
    st.just(Frame(Opcode.TEXT, b"masked").serialize(mask=True)),
    st.binary(min_size=1, max_size=12),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 2**20), max_size=12))
def test_whatever_comes_the_messages_are_those_of_the_library_and_so_is_the_end(
    parts: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(parts) + bytes(10)  # no length at the end that is cut off

    assert told(_Socket, stream, cuts) == told(ByTheLibrary, stream, [])


def test_bytes_that_come_one_by_one_give_the_same() -> None:
    stream = frame(1, b"a") + frame(9, b"") + frame(1, b"b" * 200) + frame(1, b"c" * 66_000)

    heard, _ = told(_Socket, stream, list(range(700)))

    assert heard == [b"a", b"b" * 200, b"c" * 66_000]


def test_a_message_over_the_limit_ends_the_connection_before_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_FRAME_BYTES", 1_000)
    stream = frame(1, b"a") + frame(1, b"b" * 1_001)[:20]

    heard, (state, code, _, _) = told(_Socket, stream, [])

    assert heard == [b"a"]
    assert (state, code) == (State.CLOSING, None)
