"""Joins the edges and the rules: what was read and asked goes in, a report comes out, four times a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from runbus.config.errors import RunBusError
from runbus.kafka.model import LogUnavailable
from runbus.kafka.threads import in_thread
from runbus.reader import Heartbeat, Reader, RunFinished, RunStarted
from runbus.service.background import BackgroundTasks
from runbus.service.component import Start
from runbus.watchdog.alarms import AlarmChange, Alarms
from runbus.watchdog.broker import OwnGroups, user_groups
from runbus.watchdog.canary import Canary
from runbus.watchdog.components import Components
from runbus.watchdog.findings import State, WatchFinding
from runbus.watchdog.groups import GroupView, GroupWatch, Look
from runbus.watchdog.positions import Rules
from runbus.watchdog.report import Report
from runbus.watchdog.round_trips import RoundTrips, Trip
from runbus.watchdog.settings import WatchdogSettings
from runbus.watchdog.webhook import Webhook

log = logging.getLogger(__name__)
_JUDGE_S = 0.25
_LOOK_S = 0.5
# A new client for each of these groups, so not often; nothing about them is an alarm.
_USERS_S = 30.0
_USERS_RULES = Rules(window=600.0, still=55.0, still_most=300.0, unseen=95.0)
# What the broker is asked twice a second takes it milliseconds; past this it is away.
_ANSWER_S = 3.0
# A broker that did not answer is asked again after this.
_AGAIN_S = 1.0
# Heartbeats from before the start: who fell silent just before is noticed too.
_BEFORE = timedelta(seconds=30)
# A step of the canary is back in 0.1 to 2 s.
_LATE_S = 5.0


class Watch:
    """Watches one installation.

    Args:
        settings: of the watchdog.
        component_id: its own.

    Attributes:
        report: how everything stands, as of the last quarter of a second.
        looked_at: when the broker was asked last and answered, by time.monotonic(); None = never.
        judged_at: when the report was made.
        broker_says: why the broker gives no answers; empty = it does.
        webhook: what is told of alarms.
    """

    def __init__(self, settings: WatchdogSettings, component_id: str) -> None:
        self._settings = settings
        self._component_id = component_id
        self._components = Components(component_id)
        self._groups = GroupWatch(settings.patience_seconds)
        self._alarms = Alarms()
        self._trips = RoundTrips()
        self._canary: Canary | None = None
        if settings.canary_seconds:
            self._canary = Canary(
                settings.kafka, settings.clickhouse, component_id, settings.canary_seconds, self._trips
            )
        self._own: tuple[list[GroupView], list[WatchFinding]] = ([], [])
        self._users: tuple[list[GroupView], list[WatchFinding]] = ([], [])
        self.broker_says = ""
        self._asked_at: float | None = None  # since when an answer of the broker is waited for; None = it came
        self.webhook = Webhook(settings.webhook_url, component_id)
        self.report = Report()
        self.looked_at: float | None = None
        self.judged_at = time.monotonic()

    async def run(self, start: Start) -> None:
        """Watch until stopped. Raises RunBusError if a person has to act."""
        tasks = BackgroundTasks()
        for work in (self._hear(), self._look(start), self._look_at_users(), self.webhook.serve()):
            tasks.start(work)
        if self._canary is not None:
            for work in (self._canary.send(), self._canary.listen(), self._canary.look_up()):
                tasks.start(work)
        try:
            while not start.stop.is_set():
                tasks.raise_error()
                self._judge(start)
                await asyncio.sleep(_JUDGE_S)
        finally:
            await tasks.cancel()

    async def _hear(self) -> None:
        """Read heartbeats, and the beginnings and ends of streams."""
        reader = Reader(topics=("heartbeats", "runs"), start=_BEFORE, settings=self._settings.kafka)
        async with reader:
            async for event in reader:
                if isinstance(event, Heartbeat):
                    self._components.beat(event, time.monotonic())
                elif isinstance(event, RunStarted):
                    self._components.started(event)
                elif isinstance(event, RunFinished):
                    self._components.finished(event)

    async def _look(self, start: Start) -> None:
        """Ask where the groups of the installation stand."""
        eyes = OwnGroups(self._settings.kafka, self._settings.names, start.partitions)
        try:
            while True:
                self._asked_at = time.monotonic()
                try:
                    self._take(await eyes.look())
                except (LogUnavailable, RunBusError) as error:
                    self._broker_is_away(str(error))
                    await asyncio.sleep(_AGAIN_S)
                await asyncio.sleep(_LOOK_S)
        finally:
            await eyes.close()

    async def _look_at_users(self) -> None:
        """Ask where everybody else's groups stand."""
        watch = GroupWatch(self._settings.patience_seconds, _USERS_RULES)
        ask = partial(user_groups, self._settings.kafka, self._settings.names)
        while True:
            if not self.broker_says:
                try:
                    self._users = watch.look(await in_thread(ask, "runbus-watchdog-users"), lambda _kind, _at: None)
                except RunBusError as error:
                    log.debug("watchdog.users: %s", error)
            await asyncio.sleep(_USERS_S)

    def _take(self, look: Look) -> None:
        self._own = self._groups.look(look, self._components.lives)
        self.broker_says, self._asked_at, self.looked_at = "", None, look.at

    def _broker_is_away(self, reason: str) -> None:
        """Know nothing of the groups any more: what is seen next is seen for the first time."""
        self.broker_says = reason
        self._groups.forget()
        self._own = ([], [])

    def _judge(self, start: Start) -> None:
        """Make the report; a change is logged, told, and sent at once."""
        now = time.monotonic()
        if self._asked_at is not None and not self.broker_says and now - self._asked_at > _ANSWER_S:
            self._broker_is_away("no answer yet")
        views, findings = self._own
        trips = self._trips.trips(now) if self._canary is not None else ()
        found = [*self._of_broker(), *self._components.look(now), *findings, *self._users[1]]
        found += self._of_canary(trips, views)
        lasting, changes = self._alarms.look(map(self._with_reasons, found), now)
        self.report = Report(
            findings=tuple(lasting),
            groups=(*views, *self._users[0]),
            trips=trips,
            processes=self._components.counts(),
            canary="" if self._canary is None else self._canary.name,
        )
        self.judged_at = now
        for change in changes:
            self._say(change)
        if changes:
            start.beat.set()

    def _with_reasons(self, finding: WatchFinding) -> WatchFinding:
        """Return a finding about a group that stands still with what its processes say that keeps them."""
        if finding.what != "still":
            return finding
        kind = next((view.kind for view in self._own[0] if finding.subject == f"group {view.group}"), None)
        said = self._components.says(kind) if kind is not None else []
        if not said:
            return finding
        return replace(finding, text=f"{finding.text}; its processes say: {'; '.join(said[:2])}")

    def _of_broker(self) -> Iterator[WatchFinding]:
        if self.broker_says:
            yield WatchFinding(
                "Kafka",
                "away",
                State.STOP,
                f"does not answer: {self.broker_says}",
                "start it, or correct KAFKA_BOOTSTRAP_SERVERS; nothing else can be judged until then",
                self._settings.patience_seconds,
            )

    def _of_canary(self, trips: tuple[Trip, ...], views: list[GroupView]) -> Iterator[WatchFinding]:
        """Yield the ways on which the canary is late; a way whose process nobody runs is none."""
        kinds = {view.kind for view in views}
        for trip in trips:
            if trip.waiting_s < _LATE_S or trip.way not in kinds:
                continue
            never = "" if trip.came_back else " and never came back"
            store_says = self._canary.store_says if self._canary is not None and trip.way == "sink" else ""
            yield WatchFinding(
                f"canary by {trip.way}",
                "late",
                State.STALL,
                f"has been on its way for {trip.waiting_s:.0f} s{never}" + (store_says and f"; {store_says}"),
                f"everybody's steps wait there too: look at {trip.way}",
                self._settings.patience_seconds,
            )

    def _say(self, change: AlarmChange) -> None:
        finding = change.lasting.finding
        if change.word == "over":
            level = logging.WARNING if change.alarms else logging.INFO
            log.log(level, "watchdog.over %s: %s (%.0f s)", finding.subject, finding.what, change.lasting.since_s)
        else:
            level = logging.WARNING if change.word == "alarm" else logging.INFO
            log.log(level, "watchdog.%s %s %s: %s", change.word, finding.state.name, finding.subject, finding.text)
        if change.word == "alarm" or (change.word == "over" and change.alarms):
            self.webhook.tell(change)
