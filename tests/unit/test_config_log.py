"""A line of the log is one line, and libraries are quiet where a question is asked."""

from __future__ import annotations

import logging
import subprocess
import sys

from runbus.config.log import OneLine

_CODE = """
import logging
from runbus.config.log import start_log
logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)
start_log("%(levelname)s %(message)s", logging.{level})
logging.getLogger("urllib3.connectionpool").warning("Retrying")
logging.getLogger("runbus.cli").warning("heard")
"""


def test_a_message_stays_on_its_line() -> None:
    """What a terminal acts on is escaped; a traceback keeps its lines."""
    record = logging.LogRecord("runbus", logging.INFO, "", 0, "error=%s", ("\x1b[2J\nERROR forged\u202e",), None)
    assert OneLine("%(levelname)s %(message)s").format(record) == "INFO error=\\x1b[2J\\nERROR forged\\u202e"
    try:
        raise ValueError("x")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert OneLine("%(message)s").format(record).splitlines()[1] == "Traceback (most recent call last):"


def _logged(level: str) -> str:
    code = _CODE.format(level=level)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr


def test_libraries_are_heard_if_somebody_wants_details() -> None:
    """A question's error has all they would say; at info their warnings are there."""
    assert _logged("WARNING") == "WARNING heard\n"
    assert _logged("INFO") == "WARNING Retrying\nWARNING heard\n"
