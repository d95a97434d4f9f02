"""Reads the settings of the dashboard, RUNBUS_DASHBOARD_* among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runbus.config import catalogue as c
from runbus.config.address import host_and_port
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.files import credential_files
from runbus.config.loading import load
from runbus.config.secret import Secret
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.cursors.own_groups import Names
from runbus.dashboard.security.hosts import LOOPBACK, is_loopback
from runbus.kafka.settings import KafkaSettings

#: A token is guessed over the network, against a rate limit: this is far more than enough, and no word of a person.
LEAST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Settings of one dashboard, described in runbus.config.catalogue; `names` of the groups that it shows."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    names: Names
    instance_id: str = ""
    address: str = of(c.DASHBOARD_ADDRESS)
    token: Secret = of(c.DASHBOARD_TOKEN)
    hosts: str = of(c.DASHBOARD_HOSTS)
    annotates: bool = of(c.DASHBOARD_ANNOTATES)
    clients: int = of(c.DASHBOARD_CLIENTS)
    clients_per_address: int = of(c.DASHBOARD_CLIENTS_PER_ADDRESS)
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @classmethod
    def load(cls, sources: Sources) -> DashboardSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        kafka, clickhouse = KafkaSettings.load(sources), ClickHouseSettings.load(sources)
        settings = load(cls, sources, kafka=kafka, clickhouse=clickhouse, names=Names.load(sources))
        _check_token(settings)
        return settings

    @property
    def listens_at(self) -> tuple[str, int]:
        """Host and port to listen at; without a host it is this machine only."""
        host, port = host_and_port(c.DASHBOARD_ADDRESS.env, self.address)
        return host or LOOPBACK, port

    @property
    def host_names(self) -> frozenset[str]:
        """Names, in lower case, under which browsers may reach the page besides `localhost`."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @property
    def credential_files(self) -> tuple[Path, ...]:
        """All files that its credentials come from: what changes there is rotated."""
        token = credential_files([self.token], [])
        return (*self.kafka.credential_files, *self.clickhouse.credential_files, *token)


def _check_token(settings: DashboardSettings) -> None:
    length = len(settings.token.reveal())
    if 0 < length < LEAST_TOKEN:
        raise ConfigError(
            f"{c.DASHBOARD_TOKEN.env} has {length} characters, {LEAST_TOKEN} at least are needed: "
            "`openssl rand -hex 32` makes a good one"
        )
    host, _ = settings.listens_at
    if not length and not is_loopback(host):
        raise ConfigError(
            f"{c.DASHBOARD_ADDRESS.env}={settings.address!r} lets other machines open the page, and there is no token: "
            f"set {c.DASHBOARD_TOKEN.env}_FILE to a file that holds one, or listen at {LOOPBACK}"
        )
