"""Reads how to reach ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.config.files import TlsFiles, credential_files
from runbus.config.loading import load
from runbus.config.secret import Secret
from runbus.config.setting import of
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class ClickHouseSettings:
    """Address of the HTTP interface, user and database, cluster ("" = one server), files of TLS if it is https."""

    url: str = of(c.CLICKHOUSE_URL)
    user: str = of(c.CLICKHOUSE_USER)
    password: Secret = of(c.CLICKHOUSE_PASSWORD)
    database: str = of(c.CLICKHOUSE_DATABASE)
    cluster: str = of(c.CLICKHOUSE_CLUSTER)
    tls: TlsFiles = field(default_factory=TlsFiles)

    @classmethod
    def load(cls, sources: Sources) -> ClickHouseSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        tls = TlsFiles.load(sources, c.CLICKHOUSE_CA, c.CLICKHOUSE_CERTIFICATE, c.CLICKHOUSE_KEY)
        settings = load(cls, sources, tls=tls)
        if any(tls) and not settings.url.startswith("https:"):
            raise ConfigError(f"{c.CLICKHOUSE_URL.env}={settings.url!r} is not https, and CLICKHOUSE_SSL_* is set")
        return settings

    @property
    def credential_files(self) -> tuple[Path, ...]:
        """All files that the credentials come from: what changes there is rotated."""
        return credential_files([self.password], self.tls)
