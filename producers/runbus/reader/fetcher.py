"""Fetches in a thread of its own: fills the buffer, waits when it is full, and carries out commits.

The thread stays in the group whatever its user does: a user who is slow is no reason to lose the partitions. It runs no
code of the user, and no signal is handled in it, so Ctrl-C finds every record either here or handed out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from runbus.config.rotation import LOOK_S, CredentialFiles
from runbus.kafka.model import TopicPartition
from runbus.reader.buffer import Buffer, Chunk, Fetched, Item
from runbus.reader.client import Came, LogClient, NewClient
from runbus.reader.commits import CommitRequest, Commits
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.events import At, RecordsDeleted
from runbus.reader.plan import Plan

log = logging.getLogger(__name__)
# How long the client waits for a record: a commit waits for that too.
_POLL_S = 0.05
_MOST = 1000  # records of one call
_FIRST_BYTES = 64 * 1024  # what a record is taken for before one came
# A buffer that stays full for so long: its partitions are paused. Until then the client keeps what it has read ahead;
# what is paused it forgets and reads again. Far below max.poll.interval.ms (300 s).
_HOLD_AFTER_S = 2.0
_RESTART_S = 1.0  # before a new client
_CLOSE_S = 10.0  # for the client to leave the group; a broker that is away does not hold up the end for longer


class Fetcher:
    """The thread of one reader.

    Args:
        plan: what is read.
        buffer: where it goes.
        new_client: makes the client; tests replace it.

    Attributes:
        cursors: the partitions that the reader has now.
        failed: why the thread has ended; None = it was asked to, or goes on.
        passed_over: records that were not wanted.
    """

    def __init__(self, plan: Plan, buffer: Buffer, new_client: Callable[..., LogClient] = LogClient) -> None:
        self._plan = plan
        self._buffer = buffer
        self._new_client = new_client
        self._commits = Commits(plan)
        self._files = CredentialFiles(plan.settings.kafka.credential_files)
        self._look_at = 0.0
        self._full_since: float | None = None
        self._ahead: dict[PartitionCursor, int] = {}
        self._record_bytes = _FIRST_BYTES
        self._ending = False
        self._client: LogClient | None = None
        self._thread: threading.Thread | None = None
        self.cursors: dict[TopicPartition, PartitionCursor] = {}
        self.failed: Exception | None = None
        self.passed_over = 0

    # --- called by the user's thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="runbus-reader", daemon=True)
            self._thread.start()

    @property
    def holds(self) -> bool:
        """Whether partitions are paused, because nobody takes what was fetched."""
        return self._client is not None and self._client.holds

    def request(self, commit: CommitRequest) -> None:
        """Let the thread carry out a commit."""
        self._commits.add(commit)
        self._buffer.room.ring()

    def end(self) -> None:
        """Ask the thread to end; waits for nothing."""
        self._ending = True
        self._buffer.room.ring()
        self._buffer.arrived.ring()

    def join(self) -> None:
        """Wait until it has left its group, for some seconds."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_S)

    def after_fork(self) -> None:
        """Leave the thread and its client to the parent."""
        self._ending = True
        if self._client is not None:
            self._client.leave_to_parent()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending:
                self._use_client()
        except Exception as error:  # noqa: BLE001 - raised where the user reads
            self.failed = error
        self._commits.give_up(f"{self._plan} has ended: {self.failed or 'it was closed'}")
        self._buffer.arrived.ring()

    def _use_client(self) -> None:
        """Read with one client until it can do no more."""
        client = self._client = self._new_client(
            self._plan, self.cursors, lambda: self._ending, self._buffer.arrived.ring
        )
        try:
            client.open()
            while not self._ending and not self._credentials_changed():
                self._turn(client)
        except NewClient as error:
            log.warning("reader.new_client %s: %s", self._plan, error)
            self._buffer.room.wait(_RESTART_S)
        finally:
            self._full_since = None
            self._client = None
            client.close()
            self._set_aside()

    def _set_aside(self) -> None:
        """Take back what was fetched and not handed out: the next client reads it again from where its user is."""
        for cursor in self.cursors.values():
            cursor.lost = True

    def _turn(self, client: LogClient) -> None:
        self._commits.carry_out(client, self.cursors)
        if not self._buffer.full and not (client.holds and self._buffer.size > self._buffer.limit // 2):
            self._full_since = None
            client.release()
            self._take(client, client.read(self._most(), _POLL_S))
            return
        now = time.monotonic()
        self._full_since = self._full_since or now
        if not client.holds and now - self._full_since < _HOLD_AFTER_S:
            self._buffer.room.wait(_POLL_S)
            return
        # each partition has a record here, so that its lag is known; no more than one is fetched of the others
        client.hold([place for place, cursor in self.cursors.items() if cursor.waiting])
        self._take(client, client.read(1, _POLL_S))

    def _most(self) -> int:
        """Return how many records there is room for, if they are as large as the last ones."""
        return max(1, min(_MOST, (self._buffer.limit - self._buffer.size) // self._record_bytes))

    def _take(self, client: LogClient, came: Came) -> None:
        chunk = Chunk()
        for record in came.records:
            self._sort(record, chunk)
        for place, offset in came.reached.items():
            self._reached(place, offset)
        for place in came.out_of_range:
            self._skip_deleted(client, place, chunk)
        if chunk.items:
            self._record_bytes = max(1, chunk.size // len(chunk.items))
        if chunk.items or (self._ahead and self._buffer.empty):
            chunk.passed, self._ahead = self._ahead, {}
            self._buffer.put(chunk)

    def _sort(self, record: Fetched, chunk: Chunk) -> None:
        place = TopicPartition(record.topic() or "", record.partition() or 0)
        cursor, offset = self.cursors.get(place), record.offset() or 0
        if cursor is None or offset < cursor.fetched:
            return
        cursor.fetched = offset + 1
        key = record.key()
        if self._plan.selection.wants(key.encode() if isinstance(key, str) else key):
            cursor.newest = offset
            self._ahead.pop(cursor, None)
            chunk.add(cursor, record)
        else:
            self.passed_over += 1
            self._ahead[cursor] = offset + 1

    def _reached(self, place: TopicPartition, offset: int) -> None:
        """Note where reading ends: behind the last record there may be markers of transactions."""
        cursor = self.cursors.get(place)
        if cursor is not None and offset >= cursor.fetched:
            cursor.fetched = offset
            self._ahead[cursor] = offset

    def _skip_deleted(self, client: LogClient, place: TopicPartition, chunk: Chunk) -> None:
        """Go on where the log does, and say what was deleted."""
        cursor = self.cursors[place]
        low, end = client.bounds(place)
        if cursor.fetched < low:
            at = At(*place, offset=low, timestamp_ms=0, key=b"")
            chunk.items.append(Item(cursor, RecordsDeleted(at, cursor.fetched, low - 1)))
            cursor.fetched = low
        else:
            log.warning("reader.log_shrank %s: the log ends at %d, reading was at %d", place, end, cursor.fetched)
            cursor.lost = True
            cursor = self.cursors[place] = PartitionCursor(place, Handed(end), end)
        client.seek(place, cursor.fetched)

    def _credentials_changed(self) -> bool:
        now = time.monotonic()
        if not self._plan.settings.kafka.credential_files or now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        changed = self._files.changed()
        if changed:
            log.warning("the credentials for Kafka changed (%s): they are taken over", ", ".join(map(str, changed)))
        return bool(changed)
