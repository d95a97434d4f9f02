"""Reads settings that name files: certificates, keys, secrets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from runbus.config.errors import ConfigError
from runbus.config.secret import Secret
from runbus.config.setting import Setting
from runbus.config.sources import Sources


class TlsFiles(NamedTuple):
    """PEM files of a TLS client; empty = none.

    Attributes:
        ca: who signed the server's certificate; empty = the authorities that the platform trusts.
        certificate: the client's, with the chain up to the authority.
        key: of that certificate; empty = it is in the same file.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""

    @classmethod
    def load(cls, sources: Sources, ca: Setting[str], certificate: Setting[str], key: Setting[str]) -> TlsFiles:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        files = cls(*(sources.get(setting) for setting in (ca, certificate, key)))
        if files.key and not files.certificate:
            raise ConfigError(f"{key.env} is set and {certificate.env} is not: a key needs its certificate")
        return files


def credential_files(secrets: Iterable[Secret], files: Iterable[str]) -> tuple[Path, ...]:
    """Return the files that a client's credentials come from."""
    return (*(s.file for s in secrets if s.file is not None), *(Path(file) for file in files if file))
