"""Says in which partition a record with a key lies: murmur2, as every producer here has it. Needs no client."""

from __future__ import annotations

_M = 0x5BD1E995
_SEED = 0x9747B28C
_32 = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the 32 bits that the Java client computes of a key (org.apache.kafka.common.utils.Utils.murmur2)."""
    whole = len(key) & ~3
    h = _SEED ^ len(key)
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _32
        k = (k ^ k >> 24) * _M & _32
        h = h * _M & _32 ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _32
    h = (h ^ h >> 13) * _M & _32
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition, from 0, of a key in a topic of `partitions` partitions.

    Java clients and librdkafka's `murmur2` and `murmur2_random` put a record with this key into the same one.
    """
    # The sign bit is dropped as the Java client drops it (toPositive), before the remainder.
    return (murmur2(key) & 0x7FFFFFFF) % partitions
