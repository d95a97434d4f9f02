"""Reads how to reach the schema registry, if there is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbus.config import catalogue as c
from runbus.config.files import TlsFiles
from runbus.config.loading import load
from runbus.config.secret import Secret
from runbus.config.setting import of
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Base URL of the Confluent API, empty = no registry; its user, and files of TLS."""

    url: str = ""
    user: str = of(c.REGISTRY_USER)
    password: Secret = of(c.REGISTRY_PASSWORD)
    tls: TlsFiles = field(default_factory=TlsFiles)

    @classmethod
    def load(cls, sources: Sources) -> RegistrySettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        return load(
            cls,
            sources,
            url=sources.get(c.REGISTRY_URL) or "",
            tls=TlsFiles.load(sources, c.REGISTRY_CA, c.REGISTRY_CERTIFICATE, c.REGISTRY_KEY),
        )
