"""The stream apps as real processes, killed and stopped while steps flow: the short form of tests/faults."""

from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.faults.scenarios import (
    SHORT,
    AppSetup,
    killed_at,
    killed_at_random,
    stopped_beyond_its_session,
    stopped_within_its_session,
)
from tests.faults.stream_workers import EXAMPLE, KINDS, PARTITIONS, TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS, topics=TOPICS)
    return kafka_settings


@pytest.mark.parametrize("kind", [*KINDS, EXAMPLE])
def test_kills_at_random_moments_change_nothing(kind: str, settings: KafkaSettings, tmp_path: Path) -> None:
    """SIGKILLs while a second worker joins and leaves: what comes out equals the reference."""
    assert killed_at_random(AppSetup(kind, settings, tmp_path), 1, SHORT) == SHORT.kills


@pytest.mark.parametrize(
    ("kind", "point", "times"),
    [
        pytest.param("episodes", "written", (1, 9), marks=pytest.mark.long),
        pytest.param("episodes", "recovering", (1, 3), marks=pytest.mark.long),
        pytest.param("live-metrics", "unsent", (9,), marks=pytest.mark.long),
    ],
)
def test_kills_at_the_worst_moment_change_nothing(
    kind: str, point: str, times: tuple[int, ...], settings: KafkaSettings, tmp_path: Path
) -> None:
    """The worker dies exactly there: what comes out equals the reference."""
    assert killed_at(AppSetup(kind, settings, tmp_path), point, times) == len(times)


def test_a_zombie_is_fenced(settings: KafkaSettings, tmp_path: Path) -> None:
    """A worker stopped beyond its session goes on when another one has its partitions: the result is exact."""
    stopped_beyond_its_session(AppSetup("episodes", settings, tmp_path), 3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_ends_nothing_too_early(kind: str, settings: KafkaSettings, tmp_path: Path) -> None:
    """A worker that was stopped for a moment, while streams ended, knows that what it hears first may be old."""
    stopped_within_its_session(AppSetup(kind, settings, tmp_path), 4)
