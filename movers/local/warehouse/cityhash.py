"""CityHash128 in the version that ClickHouse froze (1.0.2): the checksum of its compressed blocks.

Plain Python, about 0.1 s for each MiB: only clients that ask for ClickHouse's own block compression pay it.
"""

from __future__ import annotations

from struct import unpack_from

_MASK = (1 << 64) - 1
_K0, _K1 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273
_K2, _K3 = 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MULTIPLIER = 0x9DDFEA08EB382D69
_Pair = tuple[int, int]


def cityhash128(data: bytes) -> bytes:
    """The 16 checksum bytes of `data`, in the order ClickHouse writes them."""
    if len(data) >= 16:
        low, high = unpack_from("<QQ", data)
        pair = _hash(data[16:], (low ^ _K3, high))
    elif len(data) >= 8:
        low, high = _fetch(data, 0), _fetch(data, len(data) - 8)
        pair = _hash(b"", (low ^ (len(data) * _K0 & _MASK), high ^ _K1))
    else:
        pair = _hash(data, (_K0, _K1))
    return pair[0].to_bytes(8, "little") + pair[1].to_bytes(8, "little")


def _fetch(data: bytes, at: int) -> int:
    value: int = unpack_from("<Q", data, at)[0]
    return value


def _rotate(value: int, by: int) -> int:
    value &= _MASK
    return (value >> by | value << (64 - by)) & _MASK


def _shift_mix(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _hash_pair(low: int, high: int) -> int:
    a = _shift_mix(((low ^ high) & _MASK) * _MULTIPLIER)
    b = _shift_mix(((high ^ a) & _MASK) * _MULTIPLIER)
    return b * _MULTIPLIER & _MASK


def _hash_short(data: bytes) -> int:
    size = len(data)
    if size > 8:
        a, b = _fetch(data, 0), _fetch(data, size - 8)
        return _hash_pair(a, _rotate(b + size, size)) ^ b
    if size >= 4:
        first, last = unpack_from("<I", data)[0], unpack_from("<I", data, size - 4)[0]
        return _hash_pair(size + (first << 3), last)
    if size:
        y, z = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _shift_mix((y * _K2 ^ z * _K3) & _MASK) * _K2 & _MASK
    return _K2


def _weak_hash(data: bytes, at: int, a: int, b: int) -> _Pair:
    w, x, y, z = unpack_from("<4Q", data, at)
    a = (a + w) & _MASK
    b = _rotate(b + a + z, 21)
    total = a + x + y
    return (total + z) & _MASK, (b + _rotate(total, 44) + a) & _MASK


def _murmur(data: bytes, seed: _Pair) -> _Pair:
    a, b = seed
    size = len(data)
    if size <= 16:
        a = _shift_mix(a * _K1) * _K1 & _MASK
        c = (b * _K1 + _hash_short(data)) & _MASK
        d = _shift_mix(a + (_fetch(data, 0) if size >= 8 else c))
    else:
        c = _hash_pair((_fetch(data, size - 8) + _K1) & _MASK, a)
        d = _hash_pair((b + size) & _MASK, (c + _fetch(data, size - 16)) & _MASK)
        a = (a + d) & _MASK
        for at in range(0, size - 16, 16):
            low, high = unpack_from("<QQ", data, at)
            a = (a ^ _shift_mix(low * _K1) * _K1) * _K1 & _MASK
            b ^= a
            c = (c ^ _shift_mix(high * _K1) * _K1) * _K1 & _MASK
            d ^= c
    a, b = _hash_pair(a, c), _hash_pair(d, b)
    return a ^ b, _hash_pair(b, a)


def _hash(data: bytes, seed: _Pair) -> _Pair:
    size = len(data)
    if size < 128:
        return _murmur(data, seed)
    x, y = seed
    z = size * _K1 & _MASK
    v0 = (_rotate(y ^ _K1, 49) * _K1 + _fetch(data, 0)) & _MASK
    v = (v0, (_rotate(v0, 42) * _K1 + _fetch(data, 8)) & _MASK)
    w = ((_rotate(y + z, 35) * _K1 + x) & _MASK, _rotate(x + _fetch(data, 88), 53) * _K1 & _MASK)
    whole = size - size % 128
    for at in range(0, whole, 64):
        x = _rotate(x + y + v[0] + _fetch(data, at + 16), 37) * _K1 & _MASK
        y = _rotate(y + v[1] + _fetch(data, at + 48), 42) * _K1 & _MASK
        x ^= w[1]
        y ^= v[0]
        z = _rotate(z ^ w[0], 33)
        v = _weak_hash(data, at, v[1] * _K1 & _MASK, x + w[0])
        w = _weak_hash(data, at + 32, z + w[1], y)
        z, x = x, z
    y += _rotate(w[0], 37) * _K0 + z
    x += _rotate(v[0] + z, 49) * _K0
    for done in range(32, size % 128 + 32, 32):
        at = size - done
        y = _rotate(y - x, 42) * _K0 + v[1]
        w = (w[0] + _fetch(data, at + 16), w[1])
        x = _rotate(x, 49) * _K0 + w[0]
        w = ((w[0] + v[0]) & _MASK, w[1])
        v = _weak_hash(data, at, v[0], v[1])
    x, y = _hash_pair(x & _MASK, v[0]), _hash_pair(y & _MASK, w[0])
    low = (_hash_pair((x + v[1]) & _MASK, w[1]) + y) & _MASK
    return low, _hash_pair((x + w[1]) & _MASK, (y + v[1]) & _MASK)
