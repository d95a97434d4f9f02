"""The log, its consumer group, the store and the clock without an engine: for tests, the simulator, and reading.

They keep the promises of api.py and group.py and no more. A store may acknowledge from its log of tokens without having
the rows, because a real server that was killed at the wrong moment does; a coordinator fences members, not partitions.
The same contract suites run on these and on Kafka and ClickHouse (tests/integration/sink).
"""

from runbus.sink.memory.clock import ManualClock
from runbus.sink.memory.group import MemoryGroup, MemoryMember
from runbus.sink.memory.log import LocalSchemas, MemoryLease, MemoryLog, Script, no_faults
from runbus.sink.memory.store import Fate, MemoryStore

__all__ = [
    "Fate",
    "LocalSchemas",
    "ManualClock",
    "MemoryGroup",
    "MemoryLease",
    "MemoryLog",
    "MemoryMember",
    "MemoryStore",
    "Script",
    "no_faults",
]
