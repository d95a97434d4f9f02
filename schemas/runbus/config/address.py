"""Addresses in settings: checked, and never shown with a password in them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from runbus.config.catalogue import Setting
from runbus.config.errors import ConfigError


def without_password(text: str) -> str:
    """Return the address with what stands before an `@` masked, for messages."""
    return re.sub(r"[^\s/,]*@", "***@", text)


def http_url(setting: Setting, text: str, user: Setting, example: str) -> str:
    """Return the base URL without a slash at its end.

    Args:
        user: the setting that a user belongs in, for the message; its password has a variable beside it.
        example: a good value, for the message.

    Raises:
        ConfigError: not http or https with a host, or it carries a user, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not re.search(r"[\s\x00-\x1f]", text)
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise ConfigError(f"{setting.env} carries a user: set {user.env} and the password variable instead")
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"{setting.env}={without_password(text)!r} is not a URL like {example}")
    return text.rstrip("/")
