"""Describes the process of the local ClickHouse engine: chDB behind its HTTP adapter."""

import secrets
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runbus.local.clickhouse_http.users import READER_LIMITS, save_users, user
from runbus.local.ports import LOOPBACK, http_answers
from runbus.local.process import ProgramSpec

OWNER = "runbus"
READER = "runbus_reader"


@dataclass(frozen=True, slots=True)
class ClickHouseOptions:
    """Location of one engine: its directory (survives restarts), its port on 127.0.0.1 and its two passwords."""

    home: Path
    port: int
    owner_password: str
    reader_password: str

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"http://{LOOPBACK}:{self.port}"


def new_password() -> str:
    """Make a password that needs no escaping anywhere."""
    return secrets.token_urlsafe(24)


def clickhouse_service(options: ClickHouseOptions) -> ProgramSpec:
    """Write the users file and return how to run the engine."""
    options.home.mkdir(parents=True, exist_ok=True)
    users = options.home / "users.json"
    owner = user(OWNER, options.owner_password, owner=True)
    save_users(users, (owner, user(READER, options.reader_password, settings=READER_LIMITS)))
    arguments = ("--path", str(options.home / "data"), "--port", str(options.port), "--users", str(users))
    return ProgramSpec(
        name="clickhouse",
        argv=(sys.executable, "-m", "runbus.local.clickhouse_http", *arguments),
        probe=partial(engine_answers, options.port),
        cwd=options.home,
        address=options.url,
        start_seconds=60,
        stop_seconds=20,
    )


def engine_answers(port: int) -> bool:
    """Return whether an engine on `port` answers."""
    return http_answers(port, "/ping")
