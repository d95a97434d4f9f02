"""Keeps what the rows of one episode say in words: its labels, and why it stopped. The row of the highest seq wins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runbus.schemas.batch import StepBatch
from runbus.streams.segments import Segments

#: the seq of a row, and its text
Said = tuple[int, str]

MAX_BYTES = 512 * 1024  # of the labels in an event, which a topic must take; more cannot come from a recorder


@dataclass(slots=True)
class EpisodeWords:
    """What the rows of an episode say, each word with the seq of its row, so that rows may come in any order."""

    labels: dict[str, Said] = field(default_factory=dict)
    stop: Said | None = None

    def take_label(self, name: str, said: Said) -> None:
        """Take a label of a row."""
        self.labels[name] = max(said, self.labels.get(name, said))

    def take_stop(self, said: Said) -> None:
        """Take a row's word on why the episode stopped."""
        self.stop = said if self.stop is None else max(said, self.stop)

    def merge(self, other: EpisodeWords) -> None:
        """Take the words of further rows."""
        for name, said in other.labels.items():
            self.take_label(name, said)
        if other.stop is not None:
            self.take_stop(other.stop)

    def texts(self) -> tuple[dict[str, str], str]:
        """Return the labels and the stop as an event has them: by name, as many as MAX_BYTES hold."""
        kept, room = {}, MAX_BYTES
        for name in sorted(self.labels):
            text = self.labels[name][1]
            room -= len(name.encode()) + len(text.encode())
            if room < 0:
                break
            kept[name] = text
        return kept, "" if self.stop is None else self.stop[1][: MAX_BYTES // 4]

    def plain(self) -> list[Any]:
        """Return it as JSON has it."""
        return [self.labels, self.stop]

    @classmethod
    def of_plain(cls, plain: list[Any]) -> EpisodeWords:
        """Return what `plain` was made of."""
        labels, stop = plain
        return cls({name: (seq, text) for name, (seq, text) in labels.items()}, None if stop is None else tuple(stop))


def words_by_segment(segs: Segments, batch: StepBatch) -> dict[int, EpisodeWords]:
    """Return the words of each segment that has some, by its index."""
    found: dict[int, EpisodeWords] = {}
    of_row, first_seq = segs.of_row, batch.header.first_seq
    for row, name, text in _labels(batch):
        if (owner := int(of_row[row])) >= 0:
            found.setdefault(owner, EpisodeWords()).take_label(name, (first_seq + row, text))
    for row, text in enumerate(batch.stop):
        if text and (owner := int(of_row[row])) >= 0:
            found.setdefault(owner, EpisodeWords()).take_stop((first_seq + row, text))
    return found


def _labels(batch: StepBatch) -> Iterator[tuple[int, str, str]]:
    """Yield each label: row, name, text."""
    for label in batch.labels:
        for row, text in zip(label.rows.tolist(), label.values, strict=True):
            yield row, label.name, text
