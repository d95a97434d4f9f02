"""The bus: order, positions, isolation of subscribers, exact counters under every policy."""

import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.recorder import RunBus, Subscription


def drain(subscription: Subscription) -> list[Any]:
    """Take everything that is there."""
    return subscription.get_many(1_000_000)


def test_every_subscription_gets_every_event_in_order() -> None:
    """Two readers at different speeds both see the whole sequence, each at its own position."""
    bus = RunBus()
    fast, slow = bus.subscribe("fast"), bus.subscribe("slow")
    for i in range(5):
        bus.publish(i)
    assert drain(fast) == [0, 1, 2, 3, 4]
    assert slow.get(0) == 0
    assert (bus.position, fast.position, slow.position) == (5, 5, 1)
    bus.publish(5)
    assert drain(slow) == [1, 2, 3, 4, 5]
    assert fast.get(0) == 5


def test_a_subscription_begins_at_the_next_event() -> None:
    """What was published before is not delivered; the position says where the reader joined."""
    bus = RunBus()
    bus.publish("before")
    subscription = bus.subscribe("late")
    bus.publish("after")
    assert drain(subscription) == ["after"]
    assert subscription.position == 2


def test_get_returns_none_when_nothing_comes_or_it_is_closed() -> None:
    """No event within the timeout is None; after close, what waits is still delivered, then None at once."""
    bus = RunBus()
    subscription = bus.subscribe("reader")
    assert subscription.get(0) is None
    assert subscription.get(0.01) is None
    bus.publish("last")
    subscription.close()
    bus.publish("unseen")
    assert subscription.peek() == "last"
    assert list(subscription) == ["last"]
    assert subscription.closed
    assert subscription.get() is None


def test_a_waiting_reader_is_woken() -> None:
    """A reader that waits without a timeout gets the event that comes, and None when the subscription closes."""
    bus = RunBus()
    subscription = bus.subscribe("reader")
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.extend(subscription))
    reader.start()
    bus.publish("event")
    subscription.close()
    reader.join(5)
    assert not reader.is_alive()
    assert seen == ["event"]


def test_drop_oldest_keeps_the_newest_within_both_bounds() -> None:
    """The oldest give way, for events and for bytes, and the counters say so exactly."""
    bus = RunBus()
    subscription = bus.subscribe("reader", "drop_oldest", max_events=10, max_bytes=100)
    for i in range(8):
        bus.publish(i, events=3, nbytes=10)
    stats = subscription.stats()
    assert drain(subscription) == [5, 6, 7]
    assert (stats.accepted_events, stats.dropped_events, stats.waiting_events, stats.depth) == (24, 15, 9, 3)
    bus.publish("big", events=1, nbytes=95)
    bus.publish("small", events=1, nbytes=6)
    assert drain(subscription) == ["small"]
    assert subscription.stats().dropped_bytes == 50 + 95


def test_drop_newest_refuses_what_does_not_fit() -> None:
    """What waits stays; what comes is counted as dropped."""
    bus = RunBus()
    subscription = bus.subscribe("reader", "drop_newest", max_events=2)
    for i in range(5):
        bus.publish(i, nbytes=7)
    stats = subscription.stats()
    assert (stats.accepted_events, stats.dropped_events, stats.dropped_bytes) == (5, 3, 21)
    assert stats.position == 5
    assert drain(subscription) == [0, 1]


def test_conflate_keeps_the_newest_of_each_key_in_the_place_of_the_oldest() -> None:
    """A slow reader gets one event per key, and no key starves behind a busy one."""
    bus = RunBus()
    subscription = bus.subscribe("page", "conflate", max_events=3, key=lambda event: event[0])
    for event in ("a1", "b1", "a2", "a3", "c1"):
        bus.publish(event, nbytes=1)
    assert subscription.stats().dropped_events == 2
    bus.publish("d1", nbytes=1)  # a fourth key: the oldest gives way
    assert drain(subscription) == ["b1", "c1", "d1"]
    stats = subscription.stats()
    assert (stats.accepted_events, stats.delivered_events, stats.dropped_events, stats.waiting_events) == (6, 3, 3, 0)


def test_conflate_makes_room_for_a_larger_successor() -> None:
    """A replaced event frees its own room first; only then do other keys give way."""
    bus = RunBus()
    subscription = bus.subscribe("page", "conflate", max_bytes=10, key=lambda event: event[0])
    bus.publish("a1", nbytes=6)
    bus.publish("b1", nbytes=4)
    bus.publish("a2", nbytes=6)
    assert subscription.stats().dropped_bytes == 6
    bus.publish("a3", nbytes=9)
    assert drain(subscription) == ["a3"]
    assert subscription.stats().dropped_bytes == 6 + 6 + 4


def test_block_makes_the_publisher_wait_and_nobody_else_lose() -> None:
    """The publisher waits for the named reader; every event arrives; the other reader's queue is unaffected."""
    bus = RunBus()
    journal = bus.subscribe("journal", "block", max_events=2)
    other = bus.subscribe("other")

    def publish() -> None:
        for i in range(50):
            bus.publish(i)

    publisher = threading.Thread(target=publish)
    publisher.start()
    seen = [journal.get(5) for _ in range(50)]
    publisher.join(5)
    assert seen == list(range(50))
    assert drain(other) == list(range(50))
    assert journal.stats().dropped_events == 0


def test_closing_a_blocking_subscription_lets_the_publisher_go() -> None:
    """A reader that gives up never leaves a publisher waiting; what could not be queued is counted."""
    bus = RunBus()
    journal = bus.subscribe("journal", "block", max_events=1)
    bus.publish("first")
    publisher = threading.Thread(target=lambda: bus.publish("second"))
    publisher.start()
    assert bus.stats()["journal"].depth == 1
    journal.close()
    publisher.join(5)
    assert not publisher.is_alive()
    bus.publish("third")
    assert "journal" not in bus.stats()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "block"])
def test_an_event_larger_than_the_queue_is_dropped_and_nothing_else(policy: Any) -> None:
    """It can never fit: it is counted, it does not push others out, and it does not block for ever."""
    bus = RunBus()
    lost: list[Any] = []
    subscription = bus.subscribe("reader", policy, max_bytes=10, on_drop=lost.append)
    bus.publish("fits", nbytes=5)
    bus.publish("monster", nbytes=11)
    assert lost == ["monster"]
    assert drain(subscription) == ["fits"]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_a_marker_takes_no_room_and_is_never_dropped(policy: Any) -> None:
    """Events that count as none come through a full queue, in their place."""
    bus = RunBus()
    subscription = bus.subscribe("reader", policy, max_events=2)
    bus.publish("begin", events=0)
    for i in range(4):
        bus.publish(i)
    bus.publish("end", events=0)
    kept = [2, 3] if policy == "drop_oldest" else [0, 1]
    assert drain(subscription) == ["begin", *kept, "end"]


def test_a_full_reader_changes_nothing_for_another() -> None:
    """One subscriber that never reads loses its own events only."""
    bus = RunBus()
    stalled, live = bus.subscribe("stalled", max_events=1), bus.subscribe("live", max_events=1000)
    for i in range(1000):
        bus.publish(i)
    assert drain(live) == list(range(1000))
    assert stalled.stats().dropped_events == 999


def test_callbacks_may_use_the_bus() -> None:
    """on_drop fires once per loss and holds no lock of the bus."""
    bus = RunBus()
    calls: list[str] = []

    def dropped(event: Any) -> None:
        calls.append(f"dropped {event}, {bus.stats()['page'].depth} waiting")
        bus.publish("note", events=0) if event != "note" else None

    page = bus.subscribe("page", max_events=1, on_drop=dropped)
    bus.publish("a")
    bus.publish("b")
    assert calls == ["dropped a, 1 waiting"]
    assert drain(page) == ["b", "note"]
    bus.publish("c")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "drop_some"}, "drop_oldest, drop_newest, conflate, block"),
        ({"max_events": 0}, "at least 1"),
        ({"policy": "conflate"}, "key="),
        ({"key": str}, "conflate"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    """The error names the option and what is allowed."""
    with pytest.raises(ConfigError, match=words):
        RunBus().subscribe("reader", **options)


def test_a_name_is_taken_once() -> None:
    """Counters are found by name, so a second subscription of a name is an error until the first one closes."""
    bus = RunBus()
    first = bus.subscribe("page")
    with pytest.raises(ConfigError, match="'page' exists"):
        bus.subscribe("page")
    first.close()
    assert bus.subscribe("page") is not first


sizes = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(sizes, st.sampled_from(["drop_oldest", "drop_newest", "conflate"]), st.integers(0, 3))
def test_counters_are_exact_whatever_comes(published: list[tuple[int, int]], policy: Any, read_every: int) -> None:
    """accepted = delivered + dropped + waiting, in events and bytes; each event ends in exactly one of them."""
    bus = RunBus()
    lost: list[Any] = []
    key = (lambda event: event[0] % 3) if policy == "conflate" else None
    subscription = bus.subscribe("reader", policy, max_events=9, max_bytes=40, key=key, on_drop=lost.append)
    seen: list[Any] = []
    for number, (events, nbytes) in enumerate(published):
        bus.publish((number, events, nbytes), events=events, nbytes=nbytes)
        if read_every and number % read_every == 0 and (event := subscription.get(0)) is not None:
            seen.append(event)
        stats = subscription.stats()
        assert stats.waiting_events <= 9
        assert stats.waiting_bytes <= 40
        assert stats.accepted_events == stats.delivered_events + stats.dropped_events + stats.waiting_events
        assert stats.accepted_bytes == stats.delivered_bytes + stats.dropped_bytes + stats.waiting_bytes
    seen += drain(subscription)
    stats = subscription.stats()
    assert Counter([*seen, *lost]) == Counter((n, e, b) for n, (e, b) in enumerate(published))
    assert (stats.delivered_events, stats.dropped_events) == (sum(e for _, e, _ in seen), sum(e for _, e, _ in lost))
    assert stats.dropped_bytes == sum(b for _, _, b in lost)


def test_counts_are_exact_with_many_publishers() -> None:
    """Four threads publish against a slow reader: nothing is counted twice or not at all."""
    bus = RunBus()
    subscription = bus.subscribe("reader", max_events=50)

    def publish() -> None:
        for i in range(2000):
            bus.publish(i, nbytes=3)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(t.is_alive() for t in threads) or subscription.stats().depth:
        seen += subscription.get(0.01) is not None
    stats = subscription.stats()
    assert stats.accepted_events == 8000 == seen + stats.dropped_events
    assert stats.delivered_events == seen
    assert bus.position == 8000


def test_join_waits_for_what_was_taken_too() -> None:
    """An event is unfinished from its publication until its reader says that it is done with all that came of it."""
    bus = RunBus()
    subscription = bus.subscribe("work", "drop_oldest", max_events=2)
    assert subscription.join(0)
    for number in range(3):
        bus.publish(number)
    assert subscription.unfinished == 2
    assert subscription.get_many(2) == [1, 2]
    subscription.more(1)
    assert (subscription.unfinished, subscription.join(0)) == (3, False)
    subscription.done(3)
    assert subscription.join(0)
