"""supervisord, telling its children its process id so that they can notice when it is gone.

``python -m runbus.local.supervisord SUPERVISORD-OPTIONS``
"""

import os
import sys

from runbus.local.child import PARENT_VARIABLE


def main(arguments: list[str]) -> None:
    """Entry point; returns when supervisord has stopped everything."""
    from supervisor.supervisord import main as supervisord

    os.environ[PARENT_VARIABLE] = str(os.getpid())
    supervisord(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
