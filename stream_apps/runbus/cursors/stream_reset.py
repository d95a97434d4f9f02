"""Moves a stream app: state, position and committed offset of a partition are one transaction.

It is the app's own transaction, under the transactional id of the partition. So what a former owner has under way is
ended by the broker, whatever it sends later is refused, and no reader ever sees a position without its state. A command
that dies in between has moved some partitions and not the others, each of them whole; the same command again moves all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import closing

from runbus.config.errors import RunBusError
from runbus.cursors.reading import CursorReader
from runbus.cursors.reset import Move, ResetPlan, refuse_active
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.lone_commit import Commit, GroupActive, commit_alone
from runbus.kafka.model import Fenced, TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.threads import in_thread
from runbus.kafka.topic_ids import topic_ids
from runbus.kafka.topic_log import open_topic, record_position
from runbus.kafka.topics import STEPS
from runbus.streams.client_errors import CLIENT_ERRORS, said
from runbus.streams.kafka import Message, StateLog, Transactions
from runbus.streams.reset import NewPosition, SeenRecord, StateReset, reset_state, saved_position, seen
from runbus.streams.shard import latest


def reset_app(reader: CursorReader, plan: ResetPlan, app: AppTopics) -> dict[TopicPartition, str]:
    """Move the app; return what became of the state of each partition, in words. Raises RunBusError."""
    return asyncio.run(_reset(reader, plan, app))


async def _reset(reader: CursorReader, plan: ResetPlan, app: AppTopics) -> dict[TopicPartition, str]:
    done: dict[TopicPartition, str] = {}
    topic = reader.settings.topic_prefix + STEPS.name
    topic_id = topic_ids(reader.admin, [topic])[topic]
    for move in plan.moves:
        refuse_active(await in_thread(lambda: reader.describe(plan.group.name), "runbus-cursors"))
        try:
            result = await _PartitionReset(reader.settings, app, move, topic_id).run()
        except Fenced as error:
            raise GroupActive(
                f"another process took {move.at} over meanwhile: stop the processes of {plan.group.name}, and reset "
                f"again ({len(done)} of {len(plan.moves)} partitions are reset)"
            ) from error
        except CLIENT_ERRORS as error:
            raise BrokerUnavailable(
                f"{move.at}: {said(error)}; reset again ({len(done)} of {len(plan.moves)} partitions are reset)"
            ) from error
        done[move.at] = _words(result, app)
    return done


def _words(result: StateReset, app: AppTopics) -> str:
    if not app.by_stream:
        return "the state anew" if result.anew else ""
    return f"{result.anew} streams anew, {result.kept} kept" if result.anew or result.kept else ""


class _PartitionReset:
    """Moves the app in one partition."""

    def __init__(self, settings: KafkaSettings, app: AppTopics, move: Move, topic_id: str) -> None:
        self._settings = settings
        self._app = app
        self._group = settings.topic_prefix + app.name
        self._move = move
        self._to = NewPosition(topic_id, move.to, move.cursor.beginning)
        self._state = StateLog(settings, settings.topic_prefix + app.state.name, move.at.partition)

    async def run(self) -> StateReset:
        """Move it. Raises Fenced, CLIENT_ERRORS, RunBusError."""
        transactions = Transactions(self._settings, self._group, self._move.at)
        try:
            await transactions.open()  # 1. whoever wrote under this id before is fenced
            entries, _ = await self._state.take_over(transactions)  # 2. the state, complete
            await in_thread(self._ask_again, "runbus-cursors")  # 3. no member has come since
            done = await in_thread(lambda: self._changes(latest(entries)), "runbus-cursors")
            topic, partition = self._state.topic, self._state.partition
            messages = [Message(topic, change.key, change.value, partition) for change in done.changes]
            await transactions.commit(messages, self._move.to)  # 4. state, position and offset at once
            return done
        finally:
            await transactions.close()

    def _ask_again(self) -> None:
        """Let the coordinator refuse a group with members: it does not look at them for a transaction's offset."""
        committed = self._move.cursor.committed
        if committed is not None:
            commit_alone(self._settings, self._group, {self._move.at: Commit(committed)})

    def _changes(self, entries: dict[bytes, bytes]) -> StateReset:
        try:
            saved = saved_position(entries, self._to.topic_id)
            end = self._move.to if saved is None else saved.next_offset
            with closing(self._log(end)) as log:
                return reset_state(entries, self._to, log, by_stream=self._app.by_stream)
        except (ValueError, KeyError) as error:
            raise RunBusError(
                f"the state in {self._state.topic} cannot be read by this version ({error}); delete that topic and run "
                "`runbus topics apply`: the app then starts anew from the log"
            ) from error

    def _log(self, end: int) -> Generator[SeenRecord, None, None]:
        """Yield the records up to `end` that the reset looks at: see reset_state."""
        start = self._to.beginning if self._app.by_stream else self._to.offset
        with open_topic(self._settings, STEPS, self._group) as log:
            for message in log.walk(self._move.at.partition, start).below(end):
                yield seen(record_position(message)[1], message.timestamp()[1], message.value())
