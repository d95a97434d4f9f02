"""Runs an app that counts the records of each key, for `benchmarks/stock_faust.py`: Faust's own way, or ours.

    python benchmarks/workers/counting.py stock|held|engine SERVERS PREFIX INSTANCE

Each keeps `[count, ...]` as JSON under the record's key in a changelog of 4 partitions. `held` is `stock` with a pause
at the end of its recoveries.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import EPISODES_APP
from runbus.kafka.topics import stream_key
from runbus.schemas.batch import StepBatch
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.service.host import serve
from runbus.streams.api import NOTHING, At, Change, Effects, StreamApp
from runbus.streams.component import stream_process
from runbus.streams.settings import StreamSettings

PARTITIONS = 4
SESSION_S = 10.0
HOLD_S = 2.0


def stock_app(servers: str, prefix: str, instance: str) -> Any:  # noqa: ANN401 - Faust is not typed
    """Return an app of Faust with the settings that were measured to be the best."""
    import faust

    return faust.App(
        f"{prefix}stock",
        broker=f"kafka://{servers}",
        store="memory://",
        datadir=tempfile.mkdtemp(),
        autodiscover=False,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        broker_max_poll_records=1000,
        broker_request_timeout=60.0,
        stream_buffer_maxsize=8192,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        consumer_group_instance_id=instance,
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.005,
        producer_request_timeout=60.0,
    )


@dataclass
class Hold:
    """The pause after a recovery; `now` while it lasts."""

    seconds: float
    now: bool = False


def stock(servers: str, prefix: str, instance: str, hold: Hold) -> None:
    """Run a table app of Faust."""
    warnings.simplefilter("ignore")
    import faust
    from mode import CrashingSupervisor

    app = stock_app(servers, prefix, instance)
    source = app.topic(f"{prefix}records", key_type=bytes, value_type=bytes)
    table = app.Table("counts", partitions=PARTITIONS, key_type=bytes, value_type=bytes)

    @app.agent(source, concurrency=1, supervisor_strategy=CrashingSupervisor)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:  # noqa: ANN401
        async for event in stream.noack().events():
            if hold.now:
                await asyncio.sleep(0.001)  # an agent that waits for something
            number, newest = json.loads(table.get(event.key) or b"[0, -1]")
            if event.message.offset > newest:
                table[event.key] = json.dumps([number + 1, event.message.offset]).encode()
            event.ack()

    say_what_is_thrown_away()
    if hold.seconds:
        hold_after_seek(type(app.transport).Consumer, hold)
    faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True).execute_from_commandline()


def say_what_is_thrown_away() -> None:
    """Print how many records are in the queues whenever they are cleared."""
    from mode.utils.queues import FlowControlEvent

    resume = FlowControlEvent.resume

    def counted(self: Any) -> None:  # noqa: ANN401
        if held := sum(queue.qsize() for queue in self._queues):
            print(f"thrown away: {held}", flush=True)
        resume(self)

    FlowControlEvent.resume = counted  # type: ignore[method-assign]


def hold_after_seek(consumer: Any, hold: Hold) -> None:  # noqa: ANN401
    """Let time pass between the seek at the end of a recovery and what comes after it."""
    perform_seek = consumer.perform_seek

    async def seek(self: Any) -> None:  # noqa: ANN401
        await perform_seek(self)
        hold.now = True
        await asyncio.sleep(hold.seconds)
        hold.now = False

    consumer.perform_seek = seek


class Counting:
    """A core that counts the records of each stream."""

    def __init__(self, source: str) -> None:  # noqa: ARG002
        self._counts: dict[bytes, int] = {}
        self._dirty: set[bytes] = set()

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a count back."""
        self._counts[key] = json.loads(value)[0]

    def apply(self, batch: StepBatch, at: At) -> Effects:  # noqa: ARG002 - a Core's arguments, here and below
        """Count a record."""
        key = stream_key(batch.header.run_id, batch.header.agent_id)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._dirty.add(key)
        return NOTHING

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:  # noqa: ARG002
        """Nothing ends."""
        return NOTHING

    def tick(self, at: At) -> Effects:  # noqa: ARG002
        """Nothing is due."""
        return NOTHING

    def changes(self) -> list[Change]:
        """Return the counts that changed."""
        dirty, self._dirty = self._dirty, set()
        return [Change(key, json.dumps([self._counts[key]]).encode()) for key in dirty]

    def size(self) -> dict[str, int]:
        """Return how many keys there are."""
        return {"keys": len(self._counts)}


def engine(servers: str, prefix: str, instance: str) -> None:
    """Run the counting core in our engine."""
    kafka = KafkaSettings(bootstrap_servers=servers, topic_prefix=prefix)
    settings = StreamSettings(kafka, instance_id=instance, session_seconds=SESSION_S)
    process = stream_process(StreamApp(EPISODES_APP, Counting, "transaction", 0.2), settings, Codec())
    process.runner(partial(serve, process))


def main() -> None:
    """Run one until SIGTERM."""
    kind, servers, prefix, instance = sys.argv[1:]
    if kind == "engine":
        engine(servers, prefix, instance)
    else:
        stock(servers, prefix, instance, Hold(HOLD_S if kind == "held" else 0.0))


if __name__ == "__main__":
    main()
