"""Ports that are given to servers stay free until the server has started."""

import random
import socket
from pathlib import Path

import pytest

from runbus.local import ports
from runbus.local.ports import LOOPBACK, free_port


def test_a_port_is_not_one_that_outgoing_connections_take() -> None:
    """A connection of any process would take it between the look and the start of the server."""
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(limits.read_text().split()[0]) if limits.is_file() else 32_768
    assert all(1024 < free_port() < first for _ in range(200))


def test_programs_of_one_seed_get_different_ports() -> None:
    """Workers of a test run seed `random` alike."""
    found = []
    for _ in range(20):
        random.seed(7)
        found.append(free_port())
    assert len(set(found)) > 15


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all of the range are, one comes from outside of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_SERVERS", range(port, port + 1))
        assert free_port() != port
