"""Connects to ClickHouse by the settings: clickhouse-connect over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.config.clickhouse import ClickHouseSettings

DEFAULT_PORTS = {"http": 8123, "https": 8443}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds.

    Attributes:
        connect: to open the connection.
        answer: from the last byte sent to the answer. An insert takes 0.2-0.4 s. This is long, because giving up early
            on a slow server makes an insert ambiguous that was about to succeed.
    """

    connect: int = 5
    answer: int = 120


def connect(settings: ClickHouseSettings, *, database: str | None = None, timeouts: Timeouts | None = None) -> Client:
    """Return a connected client for `settings.database` (or `database`; "" = none, before it exists).

    The client keeps no server session, so it may be used by several threads. The caller closes it.

    Raises:
        Ambiguous: no answer at the URL.
        Configuration: wrong user or password, unknown database.
    """
    address = urlsplit(settings.url)
    wait = timeouts or Timeouts()
    with asking():
        return clickhouse_connect.get_client(
            interface=address.scheme,
            host=address.hostname,
            port=address.port or DEFAULT_PORTS[address.scheme],
            proxy_path=address.path.strip("/"),
            username=settings.user,
            password=settings.password.reveal(),
            database=(settings.database if database is None else database) or None,
            connect_timeout=wait.connect,
            send_receive_timeout=wait.answer,
            **tls_arguments(settings),
            # a session would serialise the threads that share the client, and end with the server
            autogenerate_session_id=False,
        )


def tls_arguments(settings: ClickHouseSettings) -> dict[str, Any]:
    """Return clickhouse-connect's arguments for https.

    A certificate authenticates the user if there is no password; beside a password it only opens the connection.
    """
    tls = settings.tls
    named = {"ca_cert": tls.ca, "client_cert": tls.certificate, "client_cert_key": tls.key}
    if tls.certificate:
        named["tls_mode"] = "strict" if settings.password else "mutual"
    return {name: value for name, value in named.items() if value}
