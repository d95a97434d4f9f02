"""Reads the lines of a source with a dialect: counts what it cannot use, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runbus.ingest.acts import Dialect, Place
from runbus.ingest.documents import Malformed, documents_of, is_text
from runbus.ingest.letters import Letters
from runbus.ingest.lines import Line, LineReader
from runbus.ingest.recordings import Recordings


@dataclass(slots=True)
class Read:
    """What was read, counted.

    Attributes:
        lines: that are not blank.
        documents: JSON objects on them that the dialect took.
        text: lines that are no JSON at all: a log line, a print of the worker.
        malformed: lines of which a part could not be used.
        too_long: lines above the limit.
        lost_bytes: that a worker printed faster than they could be read.
    """

    lines: int = 0
    documents: int = 0
    text: int = 0
    malformed: int = 0
    too_long: int = 0
    lost_bytes: int = 0


class Reading:
    """Takes the bytes of sources, one behind the other.

    Args:
        limit: bytes of the longest line that is read.
        prints: the source is what a worker prints: a line that is no JSON is nothing wrong.
    """

    def __init__(
        self, dialect: Dialect, recordings: Recordings, letters: Letters, limit: int, *, prints: bool = False
    ) -> None:
        self._dialect = dialect
        self._recordings = recordings
        self._letters = letters
        self._limit = limit
        self._prints = prints
        self._lines = LineReader(limit)
        self._source = ""
        self.read = Read()
        #: is called behind each line with its bytes
        self.after_line: Callable[[int], None] = lambda _size: None

    def begin(self, source: str) -> None:
        """Begin a source; "" = standard input, or a worker."""
        self._source = source
        self._lines = LineReader(self._limit)

    def feed(self, chunk: bytes) -> None:
        """Take its next bytes."""
        for line in self._lines.feed(chunk):
            self._take(line)

    def lose(self, size: int) -> None:
        """Take that so many bytes are missing here."""
        self.read.lost_bytes += size
        self._lines.lose()

    def end(self) -> None:
        """End the source."""
        for line in self._lines.end():
            self._take(line)
        for act in self._dialect.end():
            self._recordings.take(act)

    def _take(self, line: Line) -> None:
        self.read.lines += 1
        if line.too_long:
            self.read.too_long += 1
            self._letters.put(line, self._source, f"a line of {line.size} bytes, longer than {self._limit}")
        elif self._prints and is_text(line.data):
            self.read.text += 1
        elif wrong := self._use(line):
            self.read.malformed += 1
            half = "" if line.ended else "; the source ends in the middle of it"
            self._letters.put(line, self._source, f"{wrong}{half}")
        self.after_line(line.size)

    def _use(self, line: Line) -> str:
        """Record the documents of a line; return what is wrong with it, or ""."""
        found, wrong = documents_of(line.data)
        place = Place(self._source, line.number)
        for document in found:
            try:
                acts = list(self._dialect.take(document, place))
            except (Malformed, TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
                wrong = wrong or (str(error) if isinstance(error, Malformed) else f"{type(error).__name__}: {error}")
                continue
            self.read.documents += 1
            for act in acts:
                self._recordings.take(act)
        return wrong
