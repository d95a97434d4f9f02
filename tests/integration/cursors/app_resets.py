"""A stream app on a log with every irregularity, what it said, and the command that moves it."""

from __future__ import annotations

import dataclasses
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized
from tests.faults import expected
from tests.faults.results import Found, difference, live
from tests.faults.scenarios import AppRun, AppSetup, Size
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

SIZE = Size(8_000, 0, 0.5, 8.0)


class AppReset:
    """One app that has taken a whole log and is stopped."""

    def __init__(self, run: AppRun, folder: Path) -> None:
        self.run = run
        self.kind = run.place.kind
        self.settings = run.place.settings
        self.group = run.workers.group
        self.log = TopicReader(self.settings)
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "RUNBUS_TOPIC_PREFIX": self.settings.topic_prefix,
        }
        self.command = CursorsCommand(env, folder)
        found = expected.streams(self.log.read("steps"), self.log.read("runs"))
        self.runs = sorted({run_id for run_id, _, _ in found})
        self.wanted: Found = {**(expected.episodes(found) if self.kind == "episodes" else expected.live(found))}

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.run.workers.start("one")

    def ends_as_before(self) -> None:
        """Wait until the app is at the end, and what a reader of its topic has last is what the log asks for."""
        until(f"{self.kind} takes the whole log", self.run.cursor.at_end)
        until(f"the results are those of the log: {difference(self.last(), self.wanted)}", self._is_right)

    def _is_right(self) -> bool:
        return self.last() == self.wanted

    def last(self) -> Found:
        """Return what a reader of the topic has in the end: the newest revision of each episode, or the last totals."""
        if self.kind == "live-metrics":
            return live(self.log, self.wanted)
        newest: dict[str, EpisodeFinalized] = {}
        for event in self.episodes():
            if event.id not in newest or event.revision >= newest[event.id].revision:
                newest[event.id] = event
        return {
            name: {k: v for k, v in dataclasses.asdict(event).items() if k not in ("id", "revision")}
            for name, event in newest.items()
        }

    def episodes(self) -> list[EpisodeFinalized]:
        """Return everything on the topic `episodes`."""
        return [
            EpisodeFinalized.decode(Codec().open(m.value(), "EpisodeFinalized")[1]) for m in self.log.read("episodes")
        ]

    def middle_time(self) -> str:
        """Return the time of a record in the middle of the log, as ISO 8601 has it."""
        times = sorted(message.timestamp()[1] for message in self.log.read("steps"))
        return datetime.fromtimestamp(times[len(times) // 2] / 1000, UTC).isoformat()

    def times_said(self) -> Counter[str]:
        """Return how often the first revision of each episode is on the topic."""
        return Counter(event.id for event in self.episodes() if event.revision == 1)


@contextmanager
def app_at_the_end(kind: str, settings: KafkaSettings, folder: Path, seed: int) -> Iterator[AppReset]:
    """Yield an app that has taken a log; nothing of it runs."""
    with AppRun(AppSetup(kind, settings, folder), seed, SIZE) as run:
        process = run.workers.start("one")
        run.finish()
        assert process.poll() is not None
        app = AppReset(run, folder)
        until("the group let go of it", lambda: app.command.groups()[app.group]["members"] == 0)
        yield app
