"""What all integration tests share: a recorder's thread ends with the test that started it."""

from collections.abc import Iterator

import pytest

from runbus.recorder.process import PROCESS


@pytest.fixture(autouse=True)
def couriers_end_with_their_test() -> Iterator[None]:
    """Stop the couriers, and the readers of commands, that a test started.

    A courier lives as long as its process and sends heartbeats. Its test's topics are deleted, and what it would say
    of that half a minute later would be in the log of another test.
    """
    before, feeds = set(PROCESS._couriers), set(PROCESS._feeds)
    yield
    for settings in set(PROCESS._feeds) - feeds:
        PROCESS._feeds.pop(settings).stop()
    for key in set(PROCESS._couriers) - before:
        _, courier = PROCESS._couriers.pop(key)
        courier.stop()
