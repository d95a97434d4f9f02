"""Follows live metrics into a file, with a cursor: `python examples/follow_live_metrics.py live.csv`.

Kill it, even with SIGKILL, and start it again: it goes on where it was. A line that was written and not committed yet
is written again, so of lines with the same partition and offset only one counts.
"""

import contextlib
import csv
import sys
from pathlib import Path

from runbus.reader import LiveMetrics, Reader

COMMIT_EVERY = 20  # lines
COLUMNS = ("partition", "offset", "run", "agent", "attempt", "steps", "steps_per_second", "episodes", "last_return")


def row(event: LiveMetrics) -> list[object]:
    """Return the line of an event."""
    return [
        *(event.at.partition, event.at.offset),
        *(event.run_id, event.agent_id, event.attempt),
        *(event.steps, round(event.steps_per_second, 1), event.episodes, event.last_return),
    ]


with (
    contextlib.suppress(KeyboardInterrupt),
    Path(sys.argv[1]).open("a", buffering=1) as file,  # a line is written as one, and at once
    Reader("follow-live-metrics", topics="live-metrics", instance="0") as reader,
):
    lines = csv.writer(file, lineterminator="\n")
    if not file.tell():
        lines.writerow(COLUMNS)
    pending = 0
    while True:
        event = reader.poll(timeout=0.5)
        if isinstance(event, LiveMetrics):
            lines.writerow(row(event))
            pending += 1
        if pending >= COMMIT_EVERY or (pending and event is None):
            reader.commit()  # after the lines are written: nothing can be missing
            pending = 0
