"""Reads, feeds and commits one partition that this process owns, from its takeover until it is given up."""

from __future__ import annotations

import asyncio
import logging
import time

from runbus.config.errors import RunBusError
from runbus.kafka.model import Record, TopicPartition
from runbus.schemas.known_schemas import SchemaNeeded
from runbus.streams.broker_clock import BrokerClock
from runbus.streams.client_errors import said
from runbus.streams.kafka import StateLog, Transactions
from runbus.streams.output import AppOutput
from runbus.streams.shard import OffsetGap, PendingCommit, Shard, latest

log = logging.getLogger(__name__)


class ReadAgain(Exception):
    """Asks for the records from `offset` on once more: they did not come."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"offset {offset} did not come")
        self.offset = offset


class OwnedPartition:
    """A partition that this process owns.

    Args:
        partition: of the source.
        shard: its records and its core.
        state: the log of its state.
        transactions: they write everything that must not be repeated.
        output: of the app.
    """

    def __init__(
        self, partition: TopicPartition, shard: Shard, state: StateLog, transactions: Transactions, output: AppOutput
    ) -> None:
        self.partition = partition
        self.shard = shard
        self.committed = -1
        self.last_commit = 0.0  # monotonic seconds
        self.opened = False
        self.given_up = False
        self._state = state
        self._transactions = transactions
        self._output = output
        self._waiting: list[Record] = []
        self._asked_again = -1
        self._answers: tuple[int | None, int | None] = (None, None)
        self._committing = asyncio.Lock()

    async def open(self, clock: BrokerClock) -> bool:
        """Become the owner and take the state back; return False if it belongs to a topic that is gone.

        Raises Fenced if another process became the owner meanwhile.
        """
        await self._transactions.open()
        entries, now_ms = await self._state.take_over(self._transactions)
        clock.set(now_ms)
        try:
            same_topic = self.shard.begin(latest(entries))
        except (ValueError, KeyError) as error:
            raise RunBusError(
                f"the state in {self._state.topic} cannot be read by this version ({error}); delete that topic and run "
                "`runbus topics apply`: the app then starts anew from the log"
            ) from error
        if not same_topic:
            log.warning("streams.topic_replaced partition=%s: state of the deleted topic is dropped", self.shard.source)
        self.committed = self.shard.next_offset
        return same_topic

    def feed(self, records: list[Record]) -> None:
        """Take records. Raises SchemaNeeded: they wait here; call again with none once the schema is known.

        Raises ReadAgain if offsets are missing that the log may still have.
        """
        waiting, self._waiting = [*self._waiting, *records], []
        while True:
            try:
                return self.shard.feed(waiting)
            except SchemaNeeded:
                self._waiting = waiting
                raise
            except OffsetGap as gap:
                if gap.expected != self._asked_again:
                    self._asked_again = gap.expected
                    raise ReadAgain(gap.expected) from gap
                log.warning(
                    "streams.skipped partition=%s first=%d last=%d: not in the log any more",
                    self.shard.source,
                    gap.expected,
                    gap.found - 1,
                )
                self.shard.skip_to(gap.found)

    def asked_after(self, answered_ms: int) -> int | None:
        """Return a time after which the broker was asked for the answer that came at `answered_ms`.

        An answer may have waited long to be read (a stopped process, a busy loop) and knows nothing of what was
        appended meanwhile. But its request was sent after the answer before it was read, so that is when it counts.
        """
        if answered_ms != self._answers[1]:
            self._answers = (self._answers[1], answered_ms)
        return self._answers[0]

    @property
    def waits(self) -> bool:
        """Whether records wait here for a schema."""
        return bool(self._waiting)

    def due(self, now: float, seconds: float) -> bool:
        """Whether it is time to commit, and no commit is under way."""
        if not self.opened or self.given_up or self._committing.locked():
            return False
        return self.shard.behind_commit and now - self.last_commit >= seconds

    async def commit(self) -> PendingCommit | None:
        """Commit everything so far, as one; return what it was, None if there was nothing.

        What was sent outside of the transaction has to be out before the state says that it was, or a crash in between
        would lose it.

        Raises:
            Fenced: another process owns the partition; it has, or will have, done the same from the last commit on.
            CLIENT_ERRORS: whether it was committed is not known: the partition has to be opened anew.
        """
        async with self._committing:
            if self.given_up or not self.opened or not self.shard.behind_commit:
                return None
            self.last_commit = time.monotonic()
            pending = self.shard.collect()
            for letter in pending.letters:
                log.error(
                    "streams.dead_letter partition=%s offset=%d: %s", letter.source, letter.record.offset, letter.error
                )
            await self._output.settled()
            messages = self._output.messages(pending, self._state.topic, self._state.partition)
            await self._transactions.commit(messages, pending.next_offset)
            self.committed = pending.next_offset
            return pending

    async def close(self) -> None:
        """Give it up; what is not committed is the next owner's to do again."""
        self.given_up = True
        await self._transactions.close()


async def commit_last(partitions: list[OwnedPartition], seconds: float) -> None:
    """Commit what was done, of all of them before one deadline; what is late is the next owner's to do again."""
    commits = {asyncio.ensure_future(owned.commit()): owned for owned in partitions}
    done, late = await asyncio.wait(commits, timeout=seconds)
    for commit in late:
        commit.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for commit in (*done, *late):
        error = TimeoutError("no answer in time") if commit.cancelled() else commit.exception()
        if error is not None:
            log.warning("streams.not_committed partition=%s: %s", commits[commit].shard.source, said(error))
