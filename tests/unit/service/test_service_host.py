"""What the host does around a component, without a broker and without signals."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runbus.config import rotation
from runbus.config.errors import RunBusError
from runbus.probes import Health
from runbus.service import heartbeat, host
from runbus.service.host import serve
from runbus.service.topic_watch import TopicReplaced
from tests.support.waiting import until_holds
from tests.unit.service.toy import Made, ToyComponent


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second be short."""
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    monkeypatch.setattr(rotation, "LOOK_S", 0.01)


@asynccontextmanager
async def hosted(made: Made) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]:
    """Run a process while the context is entered; its end is the test's to ask for."""
    asked = asyncio.Event()
    task = asyncio.create_task(serve(made.spec(), asked, made.new_broker))
    try:
        yield task, asked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def runs(made: Made, rounds: int = 1) -> ToyComponent:
    """Return the component of a round once it runs."""
    await until_holds(lambda: len(made.components) == rounds and made.components[-1].running.is_set())
    return made.components[-1]


def test_a_component_that_hangs_ends_the_process_and_one_that_was_late_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call of a library may never return: nothing is closed in order then. Twice late and well again is no hang."""
    monkeypatch.setattr(host, "HANG_LOOK_S", 0.01)

    async def scene() -> None:
        made, dead, asked = Made(), asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(made.spec(), asked, made.new_broker, dead.set))
        component = await runs(made)
        late = Late(component.shown, 2)
        monkeypatch.setattr(component, "health", late.now)
        await until_holds(lambda: late.asked > 20)
        assert not dead.is_set()
        late.left = 1_000_000
        await until_holds(dead.is_set)
        asked.set()
        await asyncio.gather(task)

    asyncio.run(scene())


class Late:
    """The health of a loop that has not turned for two minutes, so many times; then it turns."""

    def __init__(self, well: Health, left: int) -> None:
        self._well = well
        self.left = left
        self.asked = 0

    def now(self) -> Health:
        """Return it."""
        self.asked += 1
        self.left -= 1
        return replace(self._well, silent_seconds=130.0) if self.left >= 0 else self._well


def test_a_component_runs_until_it_is_asked_to_end() -> None:
    """It ends by itself once `stop` is set; nothing is cancelled; heartbeats are closed after it."""

    async def scene() -> None:
        made = Made()
        async with hosted(made) as (task, asked):
            component = await runs(made)
            asked.set()
            await asyncio.wait_for(task, 10)
        assert component.happened == ["run", "stopped", "closed"]
        assert [broker.closed for broker in made.brokers] == [1]

    asyncio.run(scene())


def test_a_component_that_returns_ends_the_process() -> None:
    """What is done is done: nobody starts it again."""

    async def scene() -> None:
        made = Made()
        async with hosted(made) as (task, _):
            component = await runs(made)
            component.done.set()
            await asyncio.wait_for(task, 10)
        assert component.happened == ["run", "done", "closed"]
        assert len(made.components) == 1

    asyncio.run(scene())


def test_it_can_be_asked_to_end_while_it_waits() -> None:
    """The component never runs, and no heartbeat was ever sent."""

    async def scene() -> None:
        made = Made(there_at_once=False)
        async with hosted(made) as (task, asked):
            await until_holds(lambda: bool(made.brokers))
            asked.set()
            await asyncio.wait_for(task, 10)
        assert made.components[0].happened == []
        assert (made.brokers[0].beats, made.brokers[0].closed) == ([], 0)

    asyncio.run(scene())


def test_what_a_component_raises_ends_the_process() -> None:
    """Everything around it is given back first."""

    async def scene() -> None:
        made = Made(there_at_once=False)
        async with hosted(made) as (task, _):
            await until_holds(lambda: bool(made.brokers))
            made.components[0].fails = RunBusError("mend it")
            made.brokers[0].is_there.set()
            with pytest.raises(RunBusError, match="mend it"):
                await asyncio.wait_for(task, 10)
        assert made.brokers[0].closed == 1

    asyncio.run(scene())


def test_a_component_that_a_library_cancelled_has_failed() -> None:
    """Nobody asked it to end, so its work is not done: a process that stayed would do nothing."""

    async def scene() -> None:
        made = Made(there_at_once=False)
        async with hosted(made) as (task, _):
            await until_holds(lambda: bool(made.brokers))
            made.components[0].fails = asyncio.CancelledError()
            made.brokers[0].is_there.set()
            with pytest.raises(RuntimeError, match="ended before its work was done"):
                await asyncio.wait_for(task, 10)

    asyncio.run(scene())


def test_a_topic_that_was_replaced_cancels_the_component() -> None:
    """It commits nothing any more: whatever it knows is of the old topic. Then the process ends."""

    async def scene() -> None:
        made = Made()
        async with hosted(made) as (task, _):
            component = await runs(made)
            made.brokers[0].changed.set_exception(TopicReplaced("topic steps was deleted or re-created"))
            with pytest.raises(TopicReplaced):
                await asyncio.wait_for(task, 10)
        assert component.happened == ["run", "cancelled", "closed"]

    asyncio.run(scene())


def test_new_credentials_are_another_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first component is stopped in order; the second has the same name, and clients of its own."""
    password = tmp_path / "password"
    password.write_text("old")

    async def scene() -> None:
        made = Made(credential_files=(password,))
        async with hosted(made) as (task, asked):
            first = await runs(made)
            await until_holds(lambda: bool(made.brokers[0].beats))
            password.write_text("new")
            second = await runs(made, 2)
            assert first.happened == ["run", "stopped", "closed"]
            assert first.component_id == second.component_id
            await until_holds(lambda: bool(made.brokers[1].beats))
            assert made.brokers[0].beats[0].started_at == made.brokers[1].beats[0].started_at
            asked.set()
            await asyncio.wait_for(task, 10)
        assert len(made.components) == 2

    with caplog.at_level(logging.WARNING, "runbus"):
        asyncio.run(scene())
    assert f"service.credentials changed: {password}" in caplog.text


def test_a_component_may_have_a_heartbeat_sent_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the second to pass; each time that it asks."""
    monkeypatch.setattr(heartbeat, "BEAT_S", 3600.0)

    async def scene() -> None:
        made = Made()
        async with hosted(made):
            component = await runs(made)
            assert component.start is not None
            for count in (1, 2):
                component.start.beat.set()
                await until_holds(lambda count=count: len(made.brokers[0].beats) == count)  # type: ignore[misc]

    asyncio.run(scene())


def test_who_is_asked_to_end_says_so_in_the_last_heartbeat() -> None:
    """Who ends for another reason does not; what the detail says else stays."""

    async def scene() -> None:
        made = Made()
        async with hosted(made) as (task, asked):
            component = await runs(made)
            component.shown = replace(component.shown, detail='{"records":1}')
            asked.set()
            await asyncio.wait_for(task, 10)
        assert json.loads(made.brokers[0].beats[-1].detail) == {"records": 1, "stopping": True}
        failed = Made()
        async with hosted(failed) as (task, _):
            (await runs(failed)).done.set()
            await asyncio.wait_for(task, 10)
        assert json.loads(failed.brokers[0].beats[-1].detail) == {}

    asyncio.run(scene())


def test_heartbeats_say_what_the_component_says() -> None:
    """Who it is comes from the host, where it stands from the component, each time anew."""

    async def scene() -> None:
        made = Made(instance_id="one")
        async with hosted(made) as (_, _asked):
            component = await runs(made)
            beats = made.brokers[0].beats
            await until_holds(lambda: bool(beats))
            beat = beats[0]
            assert (beat.component_id, beat.kind, beat.total_events, beat.lag_ms) == ("one", "toy", 7, 5)
            assert (beat.committed, beat.last_seq_id, beat.detail) == ({"steps:0": 3}, {}, "{}")
            component.shown = type(component.shown)(total_events=8)
            await until_holds(lambda: beats[-1].total_events == 8)

    asyncio.run(scene())


@pytest.mark.parametrize("error", [RunBusError("no registry"), BufferError("full"), ZeroDivisionError()])
def test_a_heartbeat_that_cannot_be_sent_stops_nothing(error: Exception) -> None:
    """The next one is tried a second later, and the component knows nothing of it."""

    async def scene() -> None:
        made = Made()
        async with hosted(made) as (task, asked):
            component = await runs(made)
            made.brokers[0].refuses = error
            await asyncio.sleep(0.05)
            made.brokers[0].refuses = None
            made.brokers[0].beats.clear()
            await until_holds(lambda: bool(made.brokers[0].beats))
            asked.set()
            await asyncio.wait_for(task, 10)
        assert component.happened == ["run", "stopped", "closed"]

    asyncio.run(scene())


def test_the_pages_say_what_only_the_host_knows(caplog: pytest.LogCaptureFixture) -> None:
    """That it waits for Kafka, and that it is stopping; in between the component speaks for itself."""

    def reasons(address: str) -> list[str]:
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=10) as answer:
                return list(json.loads(answer.read())["reasons"])
        except urllib.error.HTTPError as error:
            with error:
                return list(json.loads(error.read())["reasons"])

    async def scene() -> None:
        made = Made(there_at_once=False)
        async with hosted(made) as (_, asked):
            await until_holds(lambda: "probes.listening" in caplog.text)
            address = caplog.text.split("probes.listening on ")[1].split()[0]
            assert await asyncio.to_thread(reasons, address) == ["waits for Kafka"]
            made.brokers[0].is_there.set()
            component = await runs(made)
            assert await asyncio.to_thread(reasons, address) == []
            component.shown = type(component.shown)(joined=True, silent_seconds=999.0)
            assert await asyncio.to_thread(reasons, address) == ["its loop has not turned for 999 s"]
            component.free.clear()
            asked.set()
            await until_holds(lambda: "stopped" in component.happened)
            assert await asyncio.to_thread(reasons, address) == ["it is stopping"]
            component.free.set()

    with caplog.at_level(logging.INFO, "runbus"):
        asyncio.run(scene())
