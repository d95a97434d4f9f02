"""Names one process. The name is the key of its heartbeats, so no two that run at the same time may share it."""

from __future__ import annotations

import os
import socket


def component_id(kind: str, instance_id: str) -> str:
    """Return the instance id if one was given, else `kind-host-pid`."""
    return instance_id or f"{kind}-{socket.gethostname()}-{os.getpid()}"
