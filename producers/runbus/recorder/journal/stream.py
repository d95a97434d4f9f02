"""Takes the rows of a stream that has a journal: on disk first, then on their way to Kafka."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from runbus.recorder.absent import ABSENT
from runbus.recorder.columns import FACTS, NO_NOTES, Block, BlockNotes
from runbus.recorder.journal.format import MARK, ROWS
from runbus.recorder.journal.journal import Journal
from runbus.recorder.journal.rows import ONE_ROW, ONE_ROW_BYTES
from runbus.recorder.row_words import StepWords
from runbus.recorder.stream import RecordedStream
from runbus.schemas.layout import Layout

# looked up once: this is the loop's time
_step, _write, _head = RecordedStream.step, os.write, ONE_ROW.pack
_FACTS = FACTS.size


class JournaledStream(RecordedStream):
    """A stream whose batches are in its journal before they are published. See RecordedStream."""

    journal: Journal

    def close(self) -> None:
        """Write the open batch to the journal, then publish it."""
        with self.lock:
            batch = self._open
            if batch.count and self.journal.close_batch(batch, self._first_seq, self.positions.episodes):
                batch.journal = self.journal
            super().close()

    def _give_up(self, count: int) -> None:
        super()._give_up(count)
        self.journal.given_up(self._first_seq - count, count)


class JournaledSteps(JournaledStream):
    """A stream each of whose rows is in its journal before the call that records it returns."""

    def step(  # noqa: PLR0913, PLR0917 - as RecordedStream
        self,
        action: Any,  # noqa: ANN401
        reward: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        words: StepWords | None = None,
    ) -> int:
        """Append one step, in the journal too."""
        with self.lock:
            pending = self.pending
            seq = _step(self, action, reward, terminated, truncated, observation, info, env, tick, words)
            batch, journal = self._open, self.journal
            count = batch.count
            if (
                count != journal.plain_at
                or info is not None
                or words
                or pending
                or batch.extras
                or observation is ABSENT
                or action is ABSENT
            ):
                self._keep_open()
                return seq
            try:  # what nearly every step is, without a call of our own: this is the loop's time
                rows = batch.rows
                did, seen = rows.actions[-1], rows.observations[-1]
                acted, saw = len(did), len(seen)
                head = _head(MARK, ONE_ROW_BYTES + acted + saw, ROWS, seq, 0, count - 1, 1, acted, saw)
                raw = b"".join((head, rows.facts[-_FACTS:], did, seen))
                raw += crc32(raw).to_bytes(4, "little")
                if _write(journal.descriptor, raw) == len(raw):
                    journal.rows, journal.plain_at = count, count + 1
                else:
                    journal.cut_short()
            except OSError as error:
                journal.cut_short(error)
            return seq

    def reset(
        self,
        observation: Any,  # noqa: ANN401
        seed: int | None,
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        labels: Mapping[str, object] | None = None,
    ) -> int:
        """Append the row of a reset, in the journal too."""
        with self.lock:
            seq = super().reset(observation, seed, info, env, tick, labels)
            self._keep_open()
            return seq

    def append_block(
        self, block: Block, action: Layout | None, observation: Layout, notes: BlockNotes = NO_NOTES
    ) -> None:
        """Append rows of a vector call, in the journal too."""
        with self.lock:
            super().append_block(block, action, observation, notes)
            self._keep_open()

    def _keep_open(self) -> None:
        if self._open.count:
            self.journal.keep(self._open, self._first_seq, self.positions.episodes)
