"""Shows how far long work is, on standard error: bars on a terminal, else a plain line every few seconds.

The first plain line comes after the first few seconds, so short work says nothing. Standard output stays the data's.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from runbus.config.progress import OnProgress, Unit, unseen
from runbus.config.terminal import printable

PLAIN_EVERY_S = 5.0  # seldom enough for a log, often enough for a person who waits
_BARS_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """What is worked on, how much is done, and of how many (None = not known)."""

    what: str
    done: int
    total: int | None
    unit: Unit

    @property
    def over(self) -> bool:
        """Whether this was the last report of its work."""
        return self.total is not None and self.done >= self.total


@contextmanager
def progress(*, beside_output: bool = False) -> Iterator[OnProgress]:
    """Show what is reported inside.

    Args:
        beside_output: the data is printed meanwhile; on a terminal it shows the progress itself.
    """
    console = Console(stderr=True)
    if beside_output and sys.stdout.isatty():
        yield unseen
    elif console.is_interactive:
        with _bars(console) as bars:
            yield _Bars(bars)
    else:
        yield PlainLines(_plain_line)


class PlainLines:
    """Writes a line about the newest report, if the last line is old enough.

    Args:
        write: takes the text of a line.
        clock: returns seconds.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._next_line = clock() + PLAIN_EVERY_S
        self._began: dict[str, tuple[float, int]] = {}

    def __call__(self, what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        """Take a report."""
        with self._lock:
            now = self._clock()
            began, first = self._began.setdefault(what, (now, done))
            if now < self._next_line:
                return
            self._next_line = now + PLAIN_EVERY_S
            speed = (done - first) / (now - began) if now > began else None
        self._write(f"{printable(what)}: {_amount(ProgressReport(what, done, total, unit), speed)}")


class _Bars:
    """Keeps a bar for each work that was reported; draws a few times a second, however often it is told."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._next: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        """Take a report."""
        with self._lock:
            now, report = time.monotonic(), ProgressReport(what, done, total, unit)
            if now < self._next.get(what, 0.0) and not report.over:
                return
            self._next[what] = now + _BARS_EVERY_S
            if what not in self._tasks:
                self._tasks[what] = self._shown.add_task(printable(what), total=total, unit=unit)
            self._shown.update(self._tasks[what], completed=done, total=total)


class _AmountColumn(ProgressColumn):
    """Says how much of a task is done, and how fast."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return the text of one bar."""
        total = None if task.total is None else int(task.total)
        report = ProgressReport(task.description, int(task.completed), total, task.fields["unit"])
        return Text(_amount(report, task.finished_speed or task.speed), style="progress.remaining")


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓" if console.encoding.startswith("utf") else "*"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        _AmountColumn(),
        _AmountColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,  # what was done is printed behind it
        redirect_stdout=sys.stdout.isatty(),  # else what is printed would go to standard error
    )


def _amount(report: ProgressReport, speed: float | None) -> str:
    """Return how much is done and how fast, for example `1,200 of 3,400 records, 480/s`."""
    if not report.unit and report.total == 1:  # a thing that is ready or not
        return "ready" if report.done else "starting"
    number: Callable[[int], str] = decimal if report.unit == "bytes" else "{:,}".format
    unit = f" {report.unit}" if report.unit == "records" else ""
    of = "" if report.total is None else f" of {number(report.total)}"
    rate = f", {number(int(speed))}/s" if speed and report.unit else ""
    return f"{number(report.done)}{of}{unit}{rate}"


def _plain_line(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
