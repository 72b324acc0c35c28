"""The checksum of ClickHouse's compressed blocks."""

from __future__ import annotations

import pytest

from movers.local.warehouse.cityhash import cityhash128


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
def test_hash_is_that_of_the_reference(data: bytes, expected: str) -> None:
    assert cityhash128(data).hex() == expected
