"""Implements api.py and group.py in memory, for tests and the simulator.

They promise what the contracts say and no more. A store may acknowledge from its log of tokens without having
the rows, because a real server that was killed at the wrong moment does; a coordinator fences members, not partitions.
The same contract suites run on these and on Kafka and ClickHouse (tests/integration/sink).
"""

from runbus.sink.memory.clock import ManualClock
from runbus.sink.memory.group import MemoryGroup, MemoryMember
from runbus.sink.memory.log import LocalSchemas, MemoryLease, MemoryLog, Script, no_faults
from runbus.sink.memory.store import MemoryStore, PartOutcome

__all__ = [
    "LocalSchemas",
    "ManualClock",
    "MemoryGroup",
    "MemoryLease",
    "MemoryLog",
    "MemoryMember",
    "MemoryStore",
    "PartOutcome",
    "Script",
    "no_faults",
]
