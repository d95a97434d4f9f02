"""Ten thousand streams stay within a bound."""

from __future__ import annotations

import tracemalloc

from runbus.kafka.model import StreamId
from runbus.live_metrics.core import MAX_STREAMS
from runbus.live_metrics.measure import SKETCH_K
from tests.unit.live_metrics.rows import Caller, Row, batch

#: Of the memory that Python knows of, and of sketches: per stream that is busy in both windows.
PYTHON_BYTES = 9_000
SKETCHES = 6
SKETCH_BYTES = 8 * 3 * SKETCH_K + 512


def test_ten_thousand_busy_streams_take_less_than_300_mib() -> None:
    """Streams with full and running windows of rewards, returns and lengths, and a state that was committed."""
    streams = 100
    batches = [
        [Row(1 + i, 0.1 * i, second * 1_000_000 + i, i // 8, terminated=i % 8 == 7) for i in range(16)]
        for second in (0, 61, 62)
    ]
    caller = Caller()
    for number, rows in enumerate(batches):  # numpy imports some of its modules late: they belong to no stream
        caller.send(batch(rows, 16 * number, stream=StreamId("run", "first", 1)))
    tracemalloc.start()
    try:
        for n in range(streams):
            for number, rows in enumerate(batches):
                caller.send(batch(rows, 16 * number, stream=StreamId("run", f"agent-{n}", 1)))
        caller.core.changes()
        per_stream = tracemalloc.get_traced_memory()[0] / streams
    finally:
        tracemalloc.stop()
    assert per_stream < PYTHON_BYTES
    assert (per_stream + SKETCHES * SKETCH_BYTES) * MAX_STREAMS < 300 * 2**20
    assert max(map(len, (c.value or b"" for c in caller.core.changes())), default=0) < 300
