"""Which partition a key lives in, without asking a broker: murmur2, as every producer of RunBus partitions."""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 of `data`, unsigned.

    The rule is `org.apache.kafka.common.utils.Utils.murmur2`; Java's int is signed, so a negative one there is this
    one minus 2^32.
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        k = word * _M & _WORD
        h = h * _M & _WORD ^ (k ^ k >> 24) * _M & _WORD
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition, from 0, of a key in a topic of `partitions` partitions.

    It is where Java clients and librdkafka's `murmur2` and `murmur2_random` put a record with this key.
    """
    # The sign bit is dropped as the Java client drops it (toPositive), before the remainder.
    return (murmur2(key) & 0x7FFFFFFF) % partitions
