"""Two processes that run at the same time never share a name, unless somebody gave it to them."""

from __future__ import annotations

import os
import socket

from runbus.service.identity import component_id


def test_a_name_is_kind_host_and_pid_or_what_was_given() -> None:
    """No client library has a say in it."""
    assert component_id("episodes", "") == f"episodes-{socket.gethostname()}-{os.getpid()}"
    assert component_id("episodes", "episodes-0") == "episodes-0"
