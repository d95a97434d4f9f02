"""Creates roles and users of ClickHouse: the numbered files of this folder, and team.sql for each team.

Applied by `runbus migrate --users`, by a user who may manage access. Every statement can be repeated.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib import resources
from typing import Literal, get_args

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.config import catalogue as c
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.secret import Secret
from runbus.config.setting import Setting
from runbus.config.sources import Sources

UserRole = Literal["migrator", "writer", "reader", "dashboard"]
USER_ROLES: tuple[UserRole, ...] = get_args(UserRole)
_PASSWORDS: Mapping[UserRole, Setting[Secret]] = {
    "migrator": c.MIGRATOR_PASSWORD,
    "writer": c.WRITER_PASSWORD,
    "reader": c.READER_PASSWORD,
    "dashboard": c.DASHBOARD_PASSWORD,
}


def user_passwords(sources: Sources) -> dict[UserRole, Secret]:
    """Return the passwords that are set. Raises ConfigError if a file cannot be read."""
    found = {role: sources.get(setting) for role, setting in _PASSWORDS.items()}
    return {role: password for role, password in found.items() if password}


def parse_teams(text: str) -> dict[str, str]:
    """Return team -> prefix of its run ids from `team=prefix` pairs with `;` between them. Raises ConfigError."""
    teams: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(";"))):
        team, _, prefix = pair.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_]{1,40}", team) or not prefix:
            raise ConfigError(
                f"RUNBUS_TEAMS: {pair!r} is not team=prefix of its run ids, like vision=vision-; a team has letters, "
                "digits and '_', and `;` stands between two"
            )
        teams[team] = prefix
    return teams


def apply_users(
    settings: ClickHouseSettings, passwords: Mapping[UserRole, Secret], teams: Mapping[str, str]
) -> list[str]:
    """Create the roles, their limits and row policies, and a user for each password; return what exists now.

    Args:
        settings: of a user who may manage access; the tables are there.
        passwords: role -> password of the user `<database>-<role>`; only its salted hash is sent.
        teams: team -> prefix of its run ids.

    Raises:
        StoreError: the server's refusal.
    """
    with closing(connect(settings)) as client, asking():
        for statement in role_statements(settings.database):
            client.command(statement)
        for team, prefix in teams.items():
            for statement in team_statements(settings.database, team, prefix):
                client.command(statement)
        for role, password in passwords.items():
            for statement in _user_statements(settings.database, role, password):
                client.command(statement)
    made = [f"role {settings.database}_{role}" for role in USER_ROLES]
    made += [f"role {settings.database}_team_{team} (run ids that start with {p})" for team, p in teams.items()]
    return made + [f"user {settings.database}-{role}" for role in passwords]


def role_statements(database: str) -> Iterator[str]:
    """Yield the statements of the numbered files."""
    folder = resources.files(__name__)
    for name in sorted(f.name for f in folder.iterdir() if re.match(r"\d{4}_.*\.sql$", f.name)):
        yield from _statements(name, {"database": database})


def team_statements(database: str, team: str, prefix: str) -> Iterator[str]:
    """Yield the statements of one team."""
    yield from _statements("team.sql", {"database": database, "team": team, "prefix": quoted(prefix)})


def quoted(text: str) -> str:
    """Return a string as a literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _statements(file: str, values: Mapping[str, str]) -> Iterator[str]:
    text = re.sub(r"--.*", "", (resources.files(__name__) / file).read_text(encoding="utf-8"))
    for statement in filter(None, (part.strip() for part in text.split(";"))):
        yield re.sub(r"\{(\w+)\}", lambda name: values[name[1]], statement)


def _user_statements(database: str, role: UserRole, password: Secret) -> Iterator[str]:
    """Yield the statements that create a user or change its password. The server gets a salted hash only."""
    user, salt = f"`{database}-{role}`", secrets.token_hex(32)
    digest = hashlib.sha256((password.reveal() + salt).encode()).hexdigest()
    identified = f"IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{salt}'"
    yield f"CREATE USER IF NOT EXISTS {user} {identified}"
    yield f"ALTER USER {user} {identified}"
    yield f"GRANT `{database}_{role}` TO {user}"
    yield f"ALTER USER {user} DEFAULT ROLE `{database}_{role}`"
