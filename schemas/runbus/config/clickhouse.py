"""How to reach ClickHouse."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from runbus.config import catalogue as c
from runbus.config.address import http_url
from runbus.config.errors import ConfigError
from runbus.config.files import TlsFiles, credential_files
from runbus.config.secret import Secret
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class ClickHouseSettings:
    """Address of the HTTP interface, user and database, cluster ("" = one server), files of TLS where it is https."""

    url: str
    user: str = "default"
    password: Secret = field(default_factory=lambda: Secret(""))
    database: str = "runbus"
    cluster: str = ""
    tls: TlsFiles = field(default_factory=TlsFiles)

    @classmethod
    def load(cls, sources: Sources) -> ClickHouseSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        tls = TlsFiles.load(sources, c.CLICKHOUSE_CA, c.CLICKHOUSE_CERTIFICATE, c.CLICKHOUSE_KEY)
        settings = cls(
            url=http_url(c.CLICKHOUSE_URL, sources.text(c.CLICKHOUSE_URL), c.CLICKHOUSE_USER, c.CLICKHOUSE_URL.default),
            user=sources.text(c.CLICKHOUSE_USER),
            password=sources.secret(c.CLICKHOUSE_PASSWORD),
            database=_database(sources.text(c.CLICKHOUSE_DATABASE)),
            cluster=_cluster(sources.text(c.CLICKHOUSE_CLUSTER)),
            tls=tls,
        )
        if any(tls.all) and not settings.url.startswith("https:"):
            raise ConfigError(f"{c.CLICKHOUSE_URL.env}={settings.url!r} is not https, and CLICKHOUSE_SSL_* is set")
        return settings

    @property
    def credential_files(self) -> tuple[Path, ...]:
        """All files that the credentials come from: what changes there is rotated."""
        return credential_files([self.password], self.tls.all)


def _cluster(text: str) -> str:
    if not re.fullmatch(r"[\w-]*", text, re.ASCII):
        raise ConfigError(
            f"{c.CLICKHOUSE_CLUSTER.env}={text!r}: the name of a cluster has letters, digits, '_' and '-'"
        )
    return text


def _database(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", text):
        raise ConfigError(
            f"{c.CLICKHOUSE_DATABASE.env}={text!r}: use letters, digits and '_', not starting with a digit"
        )
    return text
