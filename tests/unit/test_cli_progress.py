"""Long work says how far it is, and never where data goes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from runbus.cli.progress import PLAIN_EVERY_S, PlainLines, progress
from runbus.config.progress import unseen


class _Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_every_few_seconds_with_amount_and_rate() -> None:
    """Reports between two lines are passed over; the line has what, how much of how much, and how fast."""
    clock, lines = _Clock(), list[str]()
    report = PlainLines(lines.append, clock)
    for second in range(12):
        clock.now = 100.0 + second
        report("reading runbus.steps", second * 1000, 100_000, "records")
    assert lines == [
        "reading runbus.steps: 5,000 of 100,000 records, 1,000/s",
        "reading runbus.steps: 10,000 of 100,000 records, 1,000/s",
    ]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (("fetching kafka.jar", 1_500_000, 44_000_000, "bytes"), "fetching kafka.jar: 1.5 MB of 44.0 MB"),
        (("reading", 7, None, "records"), "reading: 7 records"),
        (("sink", 0, 1), "sink: starting"),
        (("sink", 1, 1), "sink: ready"),
        (("a\x1b[2Jb", 1, 3), "a\\x1b[2Jb: 1 of 3"),
    ],
)
def test_what_a_line_says(report: tuple[str, int], line: str) -> None:
    """Bytes in their usual units, a thing that is ready or not, and no control characters."""
    clock, lines = _Clock(), list[str]()
    plain = PlainLines(lines.append, clock)
    clock.now += PLAIN_EVERY_S
    plain(*report)
    assert lines == [line]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What ends within seconds leaves no line in a log."""
    with progress() as report:
        report("reading", 1, 2, "records")
        report("reading", 2, 2, "records")
    assert capsys.readouterr() == ("", "")


_ON_A_TERMINAL = """
import time
from runbus.cli.progress import progress
with progress(beside_output={beside}) as report:
    for done in range(0, 101, 10):
        report("reading", done, 100, "records")
        report("sink\\x07", done, 100)
        time.sleep(0.02)
print("done")
"""


@pytest.mark.parametrize("beside", [False, True])
def test_a_terminal_gets_bars_that_go_away(beside: bool) -> None:
    """They are on standard error; if data goes to the same terminal meanwhile, there are none."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL.format(beside=beside)],
        stdout=slave if beside else subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as child:
        out = child.stdout.read() if child.stdout else b"done\n"
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert out == b"done\n"
    assert (b"of 100 records" in shown) is not beside
    assert b"\x07" not in shown


def test_a_caller_that_shows_nothing() -> None:
    """The default of library code takes every report."""
    assert unseen("reading", 1, None, "records") is None  # type: ignore[func-returns-value]
