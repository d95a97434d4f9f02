"""The sink: every record of the log, exactly once, as rows in ClickHouse.

process.py is the process, api.py the contract, protocol.py the promise.
"""

from runbus.sink.settings import SinkSettings

__all__ = ["SinkSettings"]
