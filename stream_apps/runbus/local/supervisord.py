"""Runs supervisord: it tells its children its process id, holds the lock of its home, and ends if its start fails.

`python -m runbus.local.supervisord LOCK PIPE FILE SUPERVISORD-OPTIONS`: the descriptors of the lock and of a pipe
from the starter, and the file that says "starting".
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from runbus.local.child import PARENT_VARIABLE

#: What the starter writes to the pipe: this process may outlive it.
KEEP = b"k"


def main(arguments: list[str]) -> None:
    """Entry point; returns when supervisord has stopped everything."""
    from supervisor.supervisord import main as supervisord

    os.environ[PARENT_VARIABLE] = str(os.getpid())
    lock, pipe, file, *options = arguments
    with suppress(OSError):  # a full disk: the id is needed only to kill this process
        os.ftruncate(int(lock), 0)
        os.write(int(lock), f"{os.getpid()}\n".encode())
    threading.Thread(target=_end_unless_kept, args=(int(pipe), Path(file)), daemon=True).start()
    supervisord(options)


def _end_unless_kept(pipe: int, starting: Path) -> None:
    """Wait for `KEEP`; without it, for example because the starter was killed, stop everything."""
    word = os.read(pipe, 1)
    os.close(pipe)
    if word == KEEP:
        starting.unlink(missing_ok=True)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
