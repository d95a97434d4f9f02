"""How to reach the schema registry, if there is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbus.config import catalogue as c
from runbus.config.address import http_url
from runbus.config.files import TlsFiles
from runbus.config.secret import Secret
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Base URL of the Confluent API, empty = no registry, and who asks."""

    url: str = ""
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    tls: TlsFiles = field(default_factory=TlsFiles)

    @classmethod
    def load(cls, sources: Sources) -> RegistrySettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        url = sources.text(c.REGISTRY_URL)
        return cls(
            url=http_url(c.REGISTRY_URL, url, c.REGISTRY_USER, "http://127.0.0.1:8081") if url else "",
            user=sources.text(c.REGISTRY_USER),
            password=sources.secret(c.REGISTRY_PASSWORD),
            tls=TlsFiles.load(sources, c.REGISTRY_CA, c.REGISTRY_CERTIFICATE, c.REGISTRY_KEY),
        )
