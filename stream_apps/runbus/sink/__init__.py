"""Stores every record of the log exactly once, as rows in ClickHouse.

process.py builds the process, api.py is the contract, protocol.py keeps the promise.
"""

from runbus.sink.settings import SinkSettings

__all__ = ["SinkSettings"]
