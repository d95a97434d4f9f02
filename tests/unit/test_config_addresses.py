"""Addresses, security and names of the settings: good ones are taken, bad ones are named, secrets never shown."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from runbus.config.catalogue import SETTINGS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.registry import RegistrySettings
from runbus.config.secret import Secret
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings

SECRET = "hunter2"
SASL = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_USERNAME": "runbus",
    "KAFKA_SASL_PASSWORD": SECRET,
}


def _kafka(**environ: str) -> KafkaSettings:
    return KafkaSettings.load(Sources(environ=environ))


def _clickhouse(**environ: str) -> ClickHouseSettings:
    return ClickHouseSettings.load(Sources(environ=environ))


# --- Kafka ----------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_local_stack() -> None:
    """Without any setting everything points at this machine."""
    assert _kafka().client_config() == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"}
    assert _kafka().topic_prefix == "runbus."
    assert _clickhouse() == ClickHouseSettings("http://127.0.0.1:8123", "default", Secret(""), "runbus")
    assert RegistrySettings.load(Sources()) == RegistrySettings("", "", Secret(""))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("broker:9092", "broker:9092"),
        ("a:1, b:65535", "a:1,b:65535"),
        ("[::1]:9092", "[::1]:9092"),
        ("[fe80::1]:1,10.0.0.1:2", "[fe80::1]:1,10.0.0.1:2"),
        ("kafka-0.kafka.svc.cluster.local:9093", "kafka-0.kafka.svc.cluster.local:9093"),
    ],
)
def test_good_addresses(text: str, taken: str) -> None:
    """Names, IPv4 and IPv6 in brackets, several of them, with spaces between."""
    assert _kafka(KAFKA_BOOTSTRAP_SERVERS=text).bootstrap_servers == taken


@pytest.mark.parametrize(
    "text", ["broker", "broker:", ":9092", "a:0", "a:65536", "a:1,", "::1:9092", "a b:1", "http://a:1"]
)
def test_bad_addresses_are_named(text: str) -> None:
    """The error names the variable, the value and what is wrong with it."""
    with pytest.raises(ConfigError, match=r"KAFKA_BOOTSTRAP_SERVERS=.* is not host:port"):
        _kafka(KAFKA_BOOTSTRAP_SERVERS=text)


def test_sasl_is_passed_on() -> None:
    """Protocol and mechanism are taken in any case; the client gets the password."""
    config = _kafka(**SASL, KAFKA_SASL_MECHANISM="plain").client_config()
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "PLAIN"
    assert (config["sasl.username"], config["sasl.password"]) == ("runbus", SECRET)


@pytest.mark.parametrize("missing", ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_sasl_needs_user_and_password(missing: str) -> None:
    """SASL without one of them names the variable to set."""
    with pytest.raises(ConfigError, match=f"set {missing} too"):
        _kafka(**{name: text for name, text in SASL.items() if name != missing})


@pytest.mark.parametrize("name", ["KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"])
def test_a_word_that_is_none_of_the_list_is_named(name: str) -> None:
    """A misspelt protocol or mechanism lists the right ones."""
    with pytest.raises(ConfigError, match=f"{name}='TLS' is not one of "):
        _kafka(**{name: "TLS"})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location"),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location"),
        ("KAFKA_SSL_KEY_LOCATION", "ssl.key.location"),
    ],
)
def test_certificates_must_be_there(tmp_path: Path, name: str, key: str) -> None:
    """A PEM file is passed on; one that is not there is named before any connection."""
    pem = tmp_path / "a.pem"
    pem.write_text("")
    given = {"KAFKA_SSL_CERTIFICATE_LOCATION": str(pem), name: str(pem)}  # a key alone is refused
    assert _kafka(**given).client_config()[key] == str(pem)
    with pytest.raises(ConfigError, match=f"{name} names .*missing.pem, which is not a file"):
        _kafka(**{name: str(tmp_path / "missing.pem")})


@pytest.mark.parametrize("prefix", ["a/", "ä.", "a b", "x" * 101, "a\n"])
def test_a_prefix_that_no_topic_can_have_is_refused(prefix: str) -> None:
    """Kafka's own rule for names, checked here."""
    with pytest.raises(ConfigError, match="RUNBUS_TOPIC_PREFIX="):
        _kafka(RUNBUS_TOPIC_PREFIX=prefix)


# --- ClickHouse and the registry ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("http://127.0.0.1:8123/", "http://127.0.0.1:8123"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://gate.internal/clickhouse/", "https://gate.internal/clickhouse"),
    ],
)
def test_good_urls(text: str, taken: str) -> None:
    """http and https, IPv6, a path; a slash at the end is dropped."""
    assert _clickhouse(CLICKHOUSE_URL=text).url == taken
    assert RegistrySettings.load(Sources(environ={"SCHEMA_REGISTRY_URL": text})).url == taken


@pytest.mark.parametrize(
    "text",
    [
        "clickhouse:8123",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a:b",
        "http://[::1",
        "http://a?x=1",
        "http://a/#b",
        "http://a b",
        f"ftp://me:{SECRET}@a",
        f"http://me:{SECRET}@a:99999",
    ],
)
def test_bad_urls_are_named_without_a_password(text: str) -> None:
    """The error names the variable and a good value; what stands before an @ is masked."""
    with pytest.raises(ConfigError, match=r"CLICKHOUSE_URL=.* is not a URL like http://127.0.0.1:8123") as caught:
        _clickhouse(CLICKHOUSE_URL=text)
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="SCHEMA_REGISTRY_URL="):
        RegistrySettings.load(Sources(environ={"SCHEMA_REGISTRY_URL": text}))


def test_a_url_with_a_user_is_refused() -> None:
    """URLs are printed and logged: a user in one is refused, with the variable to use instead."""
    for url in (f"http://me:{SECRET}@a:8123", "http://me@a", "http://@a"):
        with pytest.raises(ConfigError, match="CLICKHOUSE_URL carries a user: set CLICKHOUSE_USER") as caught:
            _clickhouse(CLICKHOUSE_URL=url)
        assert SECRET not in str(caught.value)
        with pytest.raises(ConfigError, match="set SCHEMA_REGISTRY_USER"):
            RegistrySettings.load(Sources(environ={"SCHEMA_REGISTRY_URL": url}))


@pytest.mark.parametrize("name", ["1a", "a-b", "a.b", "a`; DROP", "", "x" * 62, "a\n"])
def test_a_database_that_needs_quotes_is_refused(name: str) -> None:
    """Database names are plain words."""
    with pytest.raises(ConfigError, match="CLICKHOUSE_DATABASE="):
        ClickHouseSettings.load(Sources(flags={"CLICKHOUSE_DATABASE": name}))


# --- secrets --------------------------------------------------------------------------------------------------


def test_settings_never_show_a_secret() -> None:
    """repr, str, format and asdict of the settings have *** where a secret is; only reveal() gives it."""
    environ = {**SASL, **{s.env: SECRET for s in SETTINGS if s.secret}}
    sources = Sources(environ=environ)
    for settings in (KafkaSettings.load(sources), ClickHouseSettings.load(sources), RegistrySettings.load(sources)):
        assert SECRET not in f"{settings!r} {settings!s} {settings} {dataclasses.asdict(settings)}"
        assert "***" in repr(settings)
    assert KafkaSettings.load(sources).sasl_password.reveal() == SECRET


def test_errors_never_show_a_secret() -> None:
    """A bad setting beside a secret says nothing of it; an address with a password in it is masked."""
    for wrong in ({"KAFKA_BOOTSTRAP_SERVERS": f"me:{SECRET}@a:9092"}, {"RUNBUS_TOPIC_PREFIX": "/"}):
        with pytest.raises(ConfigError) as caught:
            _kafka(**{**SASL, **wrong})
        assert SECRET not in str(caught.value)


def test_a_secret_behaves_like_a_value() -> None:
    """It compares, hashes, copies and pickles (a recorder is sent to workers); an empty one is false and shows so."""
    secret = Secret(SECRET)
    assert secret == Secret(SECRET) == copy.deepcopy(secret) == pickle.loads(pickle.dumps(secret))
    assert len({secret, Secret(SECRET)}) == 1
    assert secret != Secret("other")
    assert secret != SECRET
    assert bool(secret)
    assert not Secret("")
    assert (str(secret), repr(secret), str(Secret(""))) == ("***", "Secret('***')", "")
