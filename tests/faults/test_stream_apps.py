"""The stream apps under 20 SIGKILLs a seed, at named points, stopped beyond their session, and without their broker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.process import RunningProcess, start
from tests.faults.killing import POINTS
from tests.faults.scenarios import (
    LONG,
    AppSetup,
    killed_at,
    killed_at_random,
    stopped_beyond_its_session,
    without_broker,
)
from tests.faults.stream_workers import EXAMPLE, KINDS, PARTITIONS, TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]
Say = Callable[[str], None]
ALL = (*KINDS, EXAMPLE)


@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("kind", ALL)
def test_kills_at_random_moments_change_nothing(
    kind: str, seed: int, settings: KafkaSettings, tmp_path: Path, say: Say
) -> None:
    """300,000 steps, 20 SIGKILLs, a second worker joining and leaving: what comes out equals the reference."""
    kills = killed_at_random(AppSetup(kind, settings, tmp_path), seed, LONG)
    say(f"\n{kind}: seed {seed}, {kills} kills, {LONG.steps:,} steps: exact")
    assert kills == LONG.kills


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ALL)
def test_kills_at_named_points_change_nothing(
    kind: str, point: str, settings: KafkaSettings, tmp_path: Path, say: Say
) -> None:
    """A worker dies exactly there, again and again: what comes out equals the reference."""
    if POINTS[point].only not in ("", kind):
        pytest.skip(f"{kind} never comes to {point}")
    times = POINTS[point].times
    kills = killed_at(AppSetup(kind, settings, tmp_path), point, times)
    say(f"\n{kind}: {kills} kills at {point!r}: exact")
    assert kills == len(times)


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("kind", ALL)
def test_zombies_are_fenced(kind: str, seed: int, settings: KafkaSettings, tmp_path: Path, say: Say) -> None:
    """Two workers in turn are stopped beyond their session and go on when the other one has their partitions."""
    stopped_beyond_its_session(AppSetup(kind, settings, tmp_path), seed, 4)
    say(f"\n{kind}: seed {seed}, stopped beyond its session 4 times: exact")


@pytest.mark.parametrize("kind", ALL)
def test_kills_of_the_broker_change_nothing(
    kind: str, broker: tuple[KafkaOptions, list[RunningProcess]], tmp_path: Path, say: Say
) -> None:
    """The broker is killed and started again under the running app, five times: what comes out equals the reference."""
    options, started = broker
    settings = KafkaSettings(bootstrap_servers=options.bootstrap_servers)
    apply_topics(settings, partitions=PARTITIONS, topics=TOPICS)

    def kill_it() -> None:
        started[-1].kill()
        started.append(start(kafka_service(options), tmp_path / "kafka.log"))

    restarts = without_broker(AppSetup(kind, settings, tmp_path), 5, kill_it)
    say(f"\n{kind}: 5 kills of the broker: exact")
    assert restarts == 0, "a worker ended, and was started again"
