"""The sink: every record of the log, exactly once, as rows in ClickHouse.

`run(sources)` is the process. api.py is the contract, protocol.py the promise.
"""

from runbus.sink.process import run
from runbus.sink.settings import SinkSettings

__all__ = ["SinkSettings", "run"]
