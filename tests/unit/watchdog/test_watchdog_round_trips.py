"""The ways of the canary, and how long its steps took on each."""

from __future__ import annotations

from runbus.watchdog.round_trips import WAYS, RoundTrips


def test_each_way_has_its_own_latency() -> None:
    """Of the newest step that came back; a way on which none did has none."""
    trips = RoundTrips()
    assert trips.send(10.0) == 1
    trips.came_back("live-metrics", 1, 10.1)
    trips.came_back("sink", 1, 11.0)
    found = {trip.way: trip for trip in trips.trips(12.0)}
    assert set(found) == set(WAYS)
    assert round(found["live-metrics"].latency_s or 0, 3) == 0.1
    assert found["sink"].latency_s == 1.0
    assert (found["episodes"].latency_s, found["episodes"].waiting_s, found["episodes"].came_back) == (None, 2.0, 0)


def test_the_oldest_step_that_is_not_back_says_how_late_a_way_is() -> None:
    """One that comes back brings those before it: live metrics tell a sum, the table its newest row."""
    trips = RoundTrips()
    for now in (0.0, 5.0, 10.0):
        trips.send(now)
    assert trips.trips(11.0)[0].waiting_s == 11.0
    trips.came_back("live-metrics", 2, 11.0)
    assert trips.trips(11.0)[0].waiting_s == 1.0
    assert trips.trips(11.0)[0].latency_s == 6.0
    assert trips.trips(11.0)[0].came_back == 2
    trips.came_back("live-metrics", 2, 12.0)  # said again
    assert trips.trips(12.0)[0].latency_s == 6.0
    assert trips.waits("live-metrics")
    trips.came_back("live-metrics", 3, 12.0)
    assert not trips.waits("live-metrics")
    assert trips.trips(99.0)[0].waiting_s == 0.0


def test_a_way_that_is_closed_for_a_week_costs_no_memory() -> None:
    """What is remembered is bounded, and what comes back late still counts."""
    trips = RoundTrips()
    for now in range(5000):
        trips.send(float(now))
    trips.came_back("episodes", 5000, 5000.0)
    assert not trips.waits("episodes")
    assert trips.trips(5000.0)[1].came_back == 1000
