"""Kills a ClickHouse engine the moment it writes to its log of tokens: the rows come after, so it may have none.

    python -m tests.faults.sink.trap PID SECONDS FOLDER...

A process of its own, because a few hundred microseconds decide. Exits with 0 once it has killed, with 1 where nothing
was written within the time. Linux (inotify).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

_MODIFIED, _CREATED = 0x2, 0x100


def main() -> int:
    """Wait, kill."""
    pid, seconds, folders = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init()
    for folder in folders:
        if libc.inotify_add_watch(watch, os.fsencode(folder), _MODIFIED | _CREATED) < 0:
            return 1
    if not select.select([watch], [], [], seconds)[0]:
        return 1
    os.kill(pid, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
