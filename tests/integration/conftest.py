"""What all integration tests share: a recorder's thread ends with the test that started it."""

from collections.abc import Iterator

import pytest

from runbus.recorder.process import PROCESS


@pytest.fixture(autouse=True)
def couriers_end_with_their_test() -> Iterator[None]:
    """Stop the couriers that a test started.

    A courier lives as long as its process and sends heartbeats. Its test's topics are deleted, and what it would say
    of that half a minute later would be in the log of another test.
    """
    before = set(PROCESS._couriers)
    yield
    for key in set(PROCESS._couriers) - before:
        _, courier = PROCESS._couriers.pop(key)
        courier.stop()
