"""Bodies come back as they were sent, in every encoding, or are refused in words."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movers.local.warehouse.codec import (
    PREFERRED,
    BadCompressionError,
    BlockEncoder,
    checksum,
    choose_encoding,
    decode,
    decode_blocks,
    encoder,
)

BODIES = st.binary(max_size=3000) | st.binary(min_size=1, max_size=50).map(lambda piece: piece * 40_000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # Values of the C++ reference, version 1.0.2: one for each branch by length.
        (b"", "2b9ac064fc9df03d291ee592c340b53c"),
        (b"abc", "fe48775795f10f907e0db2556317a913"),
        (bytes(range(20)), "0f658656dc434921b2e28c039a8711de"),
        (bytes(range(200)), "fdb6239e697457279c28e7eb01ef8256"),
        (bytes(range(256)) * 5, "ca17a3b77c6dddb5e1d562457ea8deb2"),
    ],
)
def test_the_checksum_is_that_of_the_reference(data: bytes, expected: str) -> None:
    assert checksum(data).hex() == expected


@pytest.mark.parametrize("encoding", PREFERRED)
@given(pieces=st.lists(BODIES, max_size=4))
def test_what_is_encoded_piece_by_piece_decodes_to_the_whole(encoding: str, pieces: list[bytes]) -> None:
    made = encoder(encoding)
    sent = b"".join([*map(made.compress, pieces), made.flush()])

    assert decode(sent, encoding) == b"".join(pieces)


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
@given(bodies=st.lists(st.binary(max_size=300), min_size=2, max_size=4))
def test_several_frames_or_members_in_a_row_are_one_body(encoding: str, bodies: list[bytes]) -> None:
    sent = b""
    for body in bodies:
        made = encoder(encoding)
        sent += made.compress(body) + made.flush()

    assert decode(sent, encoding) == b"".join(bodies)


@pytest.mark.parametrize("encoding", PREFERRED)
@given(body=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_body_cut_short_is_refused(encoding: str, body: bytes, data: st.DataObject) -> None:
    made = encoder(encoding)
    sent = made.compress(body) + made.flush()
    cut = data.draw(st.integers(1, len(sent) - 1))

    with pytest.raises(BadCompressionError, match=f"Cannot decompress {encoding}"):
        decode(sent[:cut], encoding)


@pytest.mark.parametrize("name", ["br", "snappy", "lz5"])
def test_an_encoding_nobody_knows_is_named(name: str) -> None:
    with pytest.raises(BadCompressionError, match=f"Unknown compression method: {name}"):
        decode(b"", name)


@given(pieces=st.lists(BODIES, min_size=1, max_size=3))
def test_clickhouse_blocks_come_back_as_they_were(pieces: list[bytes]) -> None:
    made = BlockEncoder()
    sent = b"".join([*map(made.compress, pieces), made.flush()])

    assert decode_blocks(sent) == b"".join(pieces)


@given(body=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_block_with_any_byte_changed_is_refused(body: bytes, data: st.DataObject) -> None:
    sent = bytearray(BlockEncoder().compress(body))
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(BadCompressionError, match=r"Checksum|truncated"):
        decode_blocks(bytes(sent))


@given(body=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_block_cut_short_is_refused(body: bytes, data: st.DataObject) -> None:
    sent = BlockEncoder().compress(body)

    with pytest.raises(BadCompressionError, match="truncated"):
        decode_blocks(sent[: data.draw(st.integers(1, len(sent) - 1))])


def block(method: int, packed: bytes, plain_size: int) -> bytes:
    body = pack("<BII", method, len(packed) + 9, plain_size) + packed
    return checksum(body) + body


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (block(0x02, b"plain", 6), "wrong size"),
        (block(0x07, b"plain", 5), "Unknown compression method: 0x7"),
        (block(0x90, b"plain", 5), "Cannot decompress"),
        (block(0x82, b"\xff\xff", 5), "Cannot decompress"),
    ],
)
def test_a_block_whose_inside_is_wrong_is_refused_in_words(sent: bytes, words: str) -> None:
    with pytest.raises(BadCompressionError, match=words):
        decode_blocks(sent)


def test_a_block_may_be_plain_or_zstd_as_well() -> None:
    made = encoder("zstd")
    packed = made.compress(b"body") + made.flush()

    assert decode_blocks(block(0x02, b"a ", 2) + block(0x90, packed, 4)) == b"a body"


@pytest.mark.parametrize(
    ("accepts", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip, lz4", "lz4"),
        ("zstd;q=0.5, gzip", "zstd"),
        ("lz4;q=0, GZIP", "gzip"),
        ("lz4; q=0.0, deflate;q=1", "deflate"),
    ],
)
def test_the_cheapest_encoding_that_the_client_accepts_is_chosen(accepts: str, chosen: str | None) -> None:
    assert choose_encoding(accepts) == chosen
