"""https to ClickHouse and to the schema registry: the authority is checked, certificates and users are sent."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runbus.clickhouse.client import connect, tls_arguments
from runbus.clickhouse.errors import Ambiguous
from runbus.clickhouse.migrate import MigrationError, migrate, status
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.files import TlsFiles
from runbus.config.secret import Secret
from runbus.schemas.avsc import schema
from runbus.schemas.errors import RegistryUnavailable
from runbus.schemas.registry import SchemaRegistry
from tests.integration.security.authority import Authority
from tests.integration.security.front import fronted

pytestmark = pytest.mark.integration


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority of this test alone."""
    return Authority(tmp_path / "authority")


def port_of(url: str) -> int:
    """Return the port of an address."""
    port = urlsplit(url).port
    assert port is not None
    return port


def test_clickhouse_is_reached_by_https_and_its_certificate_is_checked(
    clickhouse_settings: ClickHouseSettings, authority: Authority, tmp_path: Path
) -> None:
    """The client and the migrations trust the CA of the settings, and nobody else."""
    with fronted(port_of(clickhouse_settings.url), authority) as url:
        trusted = replace(clickhouse_settings, url=url, tls=TlsFiles(ca=str(authority.ca)))
        assert migrate(trusted)
        assert all(m.applied_at is not None for m in status(trusted))
        client = connect(trusted)
        assert client.query("SELECT count() FROM steps").result_rows == [(0,)]
        client.close()
        stranger = Authority(tmp_path / "stranger")
        for tls in (TlsFiles(), TlsFiles(ca=str(stranger.ca))):
            with pytest.raises(Ambiguous, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
                connect(replace(trusted, tls=tls))


def test_clickhouse_behind_a_door_that_wants_a_certificate(
    clickhouse_settings: ClickHouseSettings, authority: Authority
) -> None:
    """Beside a password the certificate opens the connection; without it nobody comes in."""
    certificate, key = map(str, authority.issue("sink"))
    with fronted(port_of(clickhouse_settings.url), authority, certificates=True) as url:
        tls = TlsFiles(str(authority.ca), certificate, key)
        settings = replace(clickhouse_settings, url=url, tls=tls)
        client = connect(settings, database="")
        assert client.query("SELECT 1").result_rows == [(1,)]
        client.close()
        with pytest.raises(Ambiguous):
            connect(replace(settings, tls=TlsFiles(ca=tls.ca)), database="")
        with pytest.raises(MigrationError, match="CLICKHOUSE_SSL_CERTIFICATE_LOCATION and CLICKHOUSE_PASSWORD"):
            migrate(settings)


def test_a_certificate_alone_authenticates_the_user() -> None:
    """Without a password ClickHouse takes the user from the certificate; with one it is the password's."""
    tls = TlsFiles("ca", "certificate", "key")
    alone = ClickHouseSettings("https://clickhouse:8443", "runbus-writer", tls=tls)
    assert tls_arguments(alone) == {
        "ca_cert": "ca",
        "client_cert": "certificate",
        "client_cert_key": "key",
        "tls_mode": "mutual",
    }
    assert tls_arguments(replace(alone, password=Secret("x")))["tls_mode"] == "strict"
    assert tls_arguments(replace(alone, tls=TlsFiles())) == {}


def test_a_registry_by_https_with_a_user(registry: str, authority: Authority, tmp_path: Path) -> None:
    """The user and the newest password of the file are sent, the CA is checked, and no error shows the password."""
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    parts = urlsplit(registry)
    with fronted(port_of(registry), authority, login="runbus:hunter3") as door:
        url, tls = f"{door}{parts.path}", TlsFiles(ca=str(authority.ca))
        client = SchemaRegistry(url, "runbus", Secret("hunter2", file), tls)
        with pytest.raises(RegistryUnavailable, match="401") as refused:
            client.push("tls-heartbeats", schema("Heartbeat"))
        file.write_text("hunter3\n")
        assert client.push("tls-heartbeats", schema("Heartbeat")) > 0
        with pytest.raises(RegistryUnavailable, match=r"(?i)certificate") as strange:
            SchemaRegistry(url, "runbus", Secret("hunter3")).push("tls-heartbeats", schema("Heartbeat"))
        assert "hunter" not in f"{refused.value} {strange.value} {client!r} {vars(client)}"
