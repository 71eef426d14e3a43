"""Lotteries without state: a keyed hash over item keys decides who is drawn.

The same key, purpose and item always give the same draw, whatever the order, the chunk or the machine;
without the key nobody can foretell it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError

UInt64Array = npt.NDArray[np.uint64]

_CHUNK = 1 << 14  # four 128 KiB lanes stay in the cache of a core
_SHORTEST_KEY = 16
_LONGEST_KEY = 64


def item_keys(ids: Iterable[str]) -> UInt64Array:
    """One 64-bit key per item, made from its lasting id (never from its row number in a file).

    >>> item_keys(["a", "b"]).tolist() == item_keys(["b", "a"]).tolist()[::-1]
    True
    """
    digests = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def item_hash(keys: npt.ArrayLike, key: bytes, purpose: str) -> UInt64Array:
    """A uniform 64-bit number per item; another purpose gives independent numbers.

    SipHash-2-4 of the item key's eight little-endian bytes, under a 128-bit key derived from `key` and
    `purpose` with BLAKE2b.

    Args:
        keys: Item keys, any shape, unsigned 64-bit.
        key: Secret of the lottery, 16 to 64 bytes.
        purpose: What is drawn, such as `audit`.

    Raises:
        RoutingError: The key is too short or too long.

    Source:
        Aumasson & Bernstein (2012), SipHash: a fast short-input PRF.

    >>> item_hash([7], bytes(16), "audit") == item_hash([7], bytes(16), "blind")
    array([False])
    """
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise RoutingError(f"a lottery key has 16 to 64 bytes, this one {len(key)}; draw a new random key")
    subkey = hashlib.blake2b(purpose.encode(), key=key, digest_size=16, person=b"routing lottery").digest()
    return siphash(np.asarray(keys, dtype=np.uint64), subkey)


def drawn(hashes: npt.ArrayLike, rate: float) -> npt.NDArray[np.bool_]:
    """Which items a lottery of this rate draws: those whose hash is below rate * 2**64.

    Exact at both ends: nobody at 0, everybody at 1. Raising the rate only ever adds items.

    Raises:
        RoutingError: The rate is outside [0, 1].

    >>> drawn([0, 2**63, 2**64 - 1], 0.5).tolist()
    [True, False, False]
    """
    numbers = np.asarray(hashes, dtype=np.uint64)
    limit = lottery_limit(rate)
    if limit >= 1 << 64:
        return np.ones(numbers.shape, dtype=np.bool_)
    return numbers < np.uint64(limit)


def lottery_limit(rate: float) -> int:
    """The whole number below which a hash is drawn, 0 to 2**64."""
    if not 0 <= rate <= 1:
        raise RoutingError(f"a rate lies between 0 and 1, not {rate}")
    return math.ceil(math.ldexp(rate, 64))  # ldexp is exact, and so is the comparison of whole numbers


def siphash(words: UInt64Array, key: bytes) -> UInt64Array:
    """SipHash-2-4 of each 64-bit word taken as an 8-byte message.

    Args:
        words: Messages, any shape.
        key: Exactly 16 bytes.

    Source:
        Aumasson & Bernstein (2012), appendix A and the vectors of the authors' reference code.
    """
    if len(key) != 16:  # noqa: PLR2004 - fixed by the algorithm
        raise RoutingError(f"SipHash takes a key of 16 bytes, not {len(key)}")
    flat = np.ascontiguousarray(words).reshape(-1)
    result = np.empty_like(flat)
    low, high = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _siphash_chunk(flat[part], low, high)
    return result.reshape(words.shape)


def _siphash_chunk(message: UInt64Array, low: int, high: int) -> UInt64Array:
    start = (
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    )
    a, b, c, d = (np.full(message.shape, value, dtype=np.uint64) for value in start)
    spare = np.empty_like(a)
    length = np.uint64(8 << 56)  # the last block holds the message length in its top byte
    d ^= message
    _rounds(a, b, c, d, spare, 2)
    a ^= message
    d ^= length
    _rounds(a, b, c, d, spare, 2)
    a ^= length
    c ^= np.uint64(0xFF)
    _rounds(a, b, c, d, spare, 4)
    a ^= b
    a ^= c
    a ^= d
    return a


def _rounds(
    a: UInt64Array, b: UInt64Array, c: UInt64Array, d: UInt64Array, spare: UInt64Array, times: int
) -> None:
    for _ in range(times):
        a += b
        _rotate(b, 13, spare)
        b ^= a
        _rotate(a, 32, spare)
        c += d
        _rotate(d, 16, spare)
        d ^= c
        a += d
        _rotate(d, 21, spare)
        d ^= a
        c += b
        _rotate(b, 17, spare)
        b ^= c
        _rotate(c, 32, spare)


def _rotate(lane: UInt64Array, bits: int, spare: UInt64Array) -> None:
    np.right_shift(lane, np.uint64(64 - bits), out=spare)
    lane <<= np.uint64(bits)
    lane |= spare
