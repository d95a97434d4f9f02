"""Keeps the adapter's users in a JSON file: name -> password hash, rights and limits (chDB has no users of its own)."""

import hashlib
import hmac
import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbus.config.errors import RunBusError
from runbus.local.clickhouse_http.errors import AUTHENTICATION_FAILED, engine_error
from runbus.local.paths import save_private


@dataclass(frozen=True, slots=True)
class User:
    """A user: an `owner` may write and reach files, others only read; `settings` are limits on clients."""

    name: str
    sha256: str
    owner: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


READER_LIMITS = {
    "max_execution_time": "60",
    "max_memory_usage": "2000000000",
    "max_result_bytes": "1000000000",
}


def user(name: str, password: str, *, owner: bool = False, settings: Mapping[str, str] | None = None) -> User:
    """Make a user from a clear password; only the hash is kept."""
    return User(name, hashlib.sha256(password.encode()).hexdigest(), owner, settings or {})


def save_users(path: Path, users: tuple[User, ...]) -> None:
    """Write the users file, readable by its owner only."""
    content = {u.name: {"sha256": u.sha256, "owner": u.owner, "settings": dict(u.settings)} for u in users}
    save_private(path, json.dumps(content, indent=1))


def load_users(path: Path) -> dict[str, User]:
    """Read a users file. Raises RunBusError if it is missing or malformed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: User(name, str(entry["sha256"]), bool(entry.get("owner", False)), dict(entry.get("settings", {})))
            for name, entry in content.items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunBusError(f"cannot read the users of {path}: {error}. 'runbus up' writes this file.") from error


def authenticate(users: Mapping[str, User], headers: Mapping[str, str], query: Mapping[str, str]) -> User:
    """Return the user of a request: X-ClickHouse headers, then basic authentication, then URL parameters.

    Raises EngineError 516 for a wrong name or password, without telling which.
    """
    name, password = _credentials(headers, query)
    found = users.get(name)
    digest = hashlib.sha256(password.encode()).hexdigest()
    # Compared also for an unknown name, so that the time tells nothing.
    if not hmac.compare_digest(digest, found.sha256 if found else "0" * 64) or found is None:
        text = f"{name}: Authentication failed: password is incorrect, or there is no user with such name."
        raise engine_error(AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", text)
    return found


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except (Base64Error, UnicodeDecodeError):
            return "", ""
        return name, password
    return query.get("user", "default"), query.get("password", "")
