"""Compression of request and response bodies: HTTP's Content-Encoding, and ClickHouse's own block format.

Content-Encoding: lz4 (frames), zstd, gzip, deflate. ClickHouse blocks (`compress=1`, `decompress=1` in the URL):
16 bytes CityHash128, method byte, two sizes, then lz4, zstd or plain data.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from struct import Struct
from typing import Protocol

import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
from clickhouse_cityhash.cityhash import CityHash128

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Cheapest first: on the loopback address the processor is dearer than the bytes.
PREFERRED = ("lz4", "zstd", "gzip", "deflate")
_BLOCK_BYTES = 1 << 20
_HEADER = Struct("<BII")
_LZ4, _ZSTD, _PLAIN = 0x82, 0x90, 0x02
_LOW = (1 << 64) - 1


class BadCompressionError(Exception):
    """The body is not what its encoding says, or the encoding is not known. The text says which."""


class Encoder(Protocol):
    """Turns a body into its compressed form, piece by piece."""

    def compress(self, data: bytes) -> bytes:
        """Bytes that can be sent so far; may be empty."""

    def flush(self) -> bytes:
        """The remaining bytes."""


def choose_encoding(accept_encoding: str) -> str | None:
    """The encoding to answer in, of those a client accepts; None for plain."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.strip().partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0"):
            accepted.add(name.strip())
    return next((name for name in PREFERRED if name in accepted), None)


def encoder(encoding: str) -> Encoder:
    """An encoder for one of PREFERRED."""
    return _ENCODERS[encoding]()


def decode(data: bytes, encoding: str) -> bytes:
    """Undoes Content-Encoding. Several frames or members in a row are one body."""
    decoder = _DECODERS.get(encoding.strip().lower())
    if decoder is None:
        raise BadCompressionError(f"Unknown compression method: {encoding}")
    try:
        return decoder(data)
    except (OSError, RuntimeError, EOFError, ValueError, zlib.error, zstd.ZstdError) as error:
        raise BadCompressionError(f"Cannot decompress {encoding}: {error}") from None


def checksum(block: bytes) -> bytes:
    """CityHash128 as ClickHouse froze it (1.0.2), in the order in which it writes the 16 bytes."""
    both: int = CityHash128(block)
    return (both >> 64).to_bytes(8, "little") + (both & _LOW).to_bytes(8, "little")


def decode_blocks(data: bytes) -> bytes:
    """Undoes ClickHouse's own block compression, checking each block's checksum."""
    out, position = [], 0
    while position < len(data):
        start = position + 16
        if len(data) < start + _HEADER.size:
            raise BadCompressionError("Cannot decompress: truncated block header")
        method, packed_size, plain_size = _HEADER.unpack_from(data, start)
        end = start + packed_size
        if packed_size < _HEADER.size or end > len(data):
            raise BadCompressionError("Cannot decompress: truncated block")
        if checksum(data[start:end]) != data[position:start]:
            raise BadCompressionError("Checksum doesn't match: corrupted data")
        out.append(_decode_block(method, data[start + _HEADER.size : end], plain_size))
        position = end
    return b"".join(out)


class BlockEncoder:
    """ClickHouse's own block compression, lz4, one block for each MiB."""

    def compress(self, data: bytes) -> bytes:
        """The blocks of `data`."""
        parts = (data[at : at + _BLOCK_BYTES] for at in range(0, len(data), _BLOCK_BYTES))
        return b"".join(map(self._block, parts))

    def flush(self) -> bytes:
        """Nothing remains: every block is whole."""
        return b""

    @staticmethod
    def _block(plain: bytes) -> bytes:
        packed: bytes = lz4.block.compress(plain, store_size=False)
        block = _HEADER.pack(_LZ4, len(packed) + _HEADER.size, len(plain)) + packed
        return checksum(block) + block


def _decode_block(method: int, packed: bytes, plain_size: int) -> bytes:
    try:
        if method == _LZ4:
            plain: bytes = lz4.block.decompress(packed, uncompressed_size=plain_size)
        elif method == _ZSTD:
            plain = zstd.decompress(packed)
        elif method == _PLAIN:
            plain = packed
        else:
            raise BadCompressionError(f"Unknown compression method: {method:#x}")
    except (lz4.block.LZ4BlockError, zstd.ZstdError) as error:
        raise BadCompressionError(f"Cannot decompress: {error}") from None
    if len(plain) != plain_size:
        raise BadCompressionError("Cannot decompress: wrong size of the decompressed block")
    return plain


class _Lz4Encoder:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._start: bytes = self._frame.begin()

    def compress(self, data: bytes) -> bytes:
        start, self._start = self._start, b""
        return start + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        start, self._start = self._start, b""
        return start + bytes(self._frame.flush())


def _decode_lz4(data: bytes) -> bytes:
    # Clients write one frame for each block they insert; a body is all of them.
    out = []
    while data:
        frame = lz4.frame.LZ4FrameDecompressor()
        out.append(frame.decompress(data))
        if not frame.eof:
            raise EOFError("truncated frame")
        data = frame.unused_data or b""
    return b"".join(out)


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(level=3, wbits=31),
    "deflate": lambda: zlib.compressobj(level=3),
}
_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "identity": lambda data: data,
    "lz4": _decode_lz4,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
