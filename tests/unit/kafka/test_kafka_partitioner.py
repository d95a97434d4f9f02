"""murmur2 as the Java client has it: its own vectors, and what follows from the rule."""

import pytest
from aiokafka import partitioner as another
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.kafka.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # UtilsTest.testMurmur2 of Apache Kafka, Java's signed integers
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_vectors_of_the_java_client(data: bytes, expected: int) -> None:
    """Every length modulo four, positive and negative results: the same 32 bits."""
    assert murmur2(data) == expected & 0xFFFFFFFF
    assert partition_of(data, 1000) == (expected & 0x7FFFFFFF) % 1000


@given(st.binary(max_size=40), st.integers(1, 5000))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_partition_is_one_of_the_topics(key: bytes, partitions: int) -> None:
    """Any key, empty ones too, has one partition of those that there are, and the 32 bits of another client."""
    assert 0 <= partition_of(key, partitions) < partitions
    assert murmur2(key) == another.murmur2(key)
