"""Checks the addresses in settings, and never shows a password in them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from runbus.config.errors import ConfigError
from runbus.config.kinds import Kind

# Compiled when one is needed: the agent's process needs the first only.
_BROKER = r"(\[[0-9a-fA-F:]+\]|[^\s:,\[\]]+):(\d{1,5})"
_LISTENER = r"(?:(?P<six>\[[0-9a-fA-F:.]+\])|(?P<host>[\w.-]*)):(?P<port>\d+)|(?P<only>\d+)"


def without_password(text: str) -> str:
    """Return the address for messages: what is before an `@` is masked."""
    return re.sub(r"[^\s/,]*@", "***@", text)


def http_url(user: str, example: str) -> Kind[str]:
    """Return the kind of a base URL, empty = none; read without a slash at its end.

    Not allowed: no http or https, no host, a user, a query or a fragment.

    Args:
        user: the variable that a user belongs in, for the message; its password has a variable beside it.
        example: a good value, for the message.
    """

    def parse(variable: str, text: str) -> str:
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and not re.search(r"[\s\x00-\x1f]", text)
        except ValueError:
            usable = False
        if usable and "@" in parts.netloc:
            raise ConfigError(f"{variable} carries a user: set {user} and the password variable instead")
        if not usable or parts.query or parts.fragment:
            raise ConfigError(f"{variable}={without_password(text)!r} is not a URL like {example}")
        return text.rstrip("/")

    return Kind(parse, "a URL, http or https", metavar="URL")


def brokers() -> Kind[str]:
    """Return the kind of addresses of brokers: `host:port`, several with commas between them."""

    def parse(variable: str, text: str) -> str:
        parts = [part.strip() for part in text.split(",")]
        for part in parts:
            match = re.fullmatch(_BROKER, part)
            if match is None or not 0 < int(match[2]) < 65536:
                raise ConfigError(
                    f"{variable}={without_password(text)!r} is not host:port[,host:port...]; "
                    f"{without_password(part)!r} is wrong"
                )
        return ",".join(parts)

    return Kind(parse, "host:port[,host:port...]")


def listener() -> Kind[str]:
    """Return the kind of an address to listen at, empty = none."""

    def parse(variable: str, text: str) -> str:
        if text:
            host_and_port(variable, text)
        return text

    return Kind(parse, "host:port, [IPv6]:port, :port or port")


def host_and_port(variable: str, text: str) -> tuple[str, int]:
    """Return the parts of `host:port`, `[IPv6]:port`, `:port` or `port`; no host is "". Raises ConfigError."""
    found = re.fullmatch(_LISTENER, text)
    port = int(found["port"] or found["only"]) if found else -1
    if found is None or not 0 <= port <= 65535:
        raise ConfigError(f"{variable}={text!r} is not an address like 127.0.0.1:9464")
    return (found["six"] or "").strip("[]") or found["host"] or "", port
