"""Passwords and certificates that change in their files: noticed once they rest, never half written, never printed."""

import asyncio
import pickle
from pathlib import Path

import pytest

from runbus.config import catalogue as c
from runbus.config import rotation
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.registry import RegistrySettings
from runbus.config.rotation import CredentialFiles
from runbus.config.secret import Secret
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings

SECRET = "hunter2"


def test_a_secret_of_a_file_is_what_the_file_says_now(tmp_path: Path) -> None:
    """The next use has the new one; while the file is empty or gone it stays the last one."""
    file = tmp_path / "password"
    file.write_text("one\n")
    secret = Sources(environ={"KAFKA_SASL_PASSWORD_FILE": str(file)}).get(c.SASL_PASSWORD)
    assert secret.reveal() == "one"
    file.write_text("two\n")
    assert secret.reveal() == "two"
    file.write_text("")
    assert secret.reveal() == "two"
    file.unlink()
    assert secret.reveal() == "two"
    assert SECRET not in repr(Secret(SECRET, file)) + str(Secret(SECRET, file))


def test_a_secret_of_a_variable_stays(tmp_path: Path) -> None:
    """A variable cannot change under a process."""
    secret = Sources(environ={"KAFKA_SASL_PASSWORD": SECRET}).get(c.SASL_PASSWORD)
    assert (secret.reveal(), secret.file) == (SECRET, None)
    assert pickle.loads(pickle.dumps(secret)) == secret


def test_a_change_counts_once_and_only_when_it_rests(tmp_path: Path) -> None:
    """Certificate and key are two files: between the two writes nothing is said."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_text("old")
    key.write_text("old")
    files = CredentialFiles([certificate, key])
    assert files.changed() == ()
    certificate.write_text("new")
    assert files.changed() == ()
    key.write_text("new")
    assert files.changed() == ()
    assert files.changed() == (certificate, key)
    assert files.changed() == ()


def test_the_same_content_or_a_missing_file_is_no_change(tmp_path: Path) -> None:
    """A mounted secret is replaced by a link to the same bytes every so often."""
    file, link = tmp_path / "a", tmp_path / "link"
    file.write_text("same")
    (tmp_path / "b").write_text("same")
    link.symlink_to(file)
    files = CredentialFiles([link])
    link.unlink()
    assert (files.changed(), files.changed()) == ((), ())
    link.symlink_to(tmp_path / "b")
    assert (files.changed(), files.changed()) == ((), ())


def test_waiting_ends_with_the_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process waits for it beside its work."""
    monkeypatch.setattr(rotation, "LOOK_S", 0.001)
    file = tmp_path / "password"
    file.write_text("one")

    async def scenario() -> tuple[Path, ...]:
        waiting = asyncio.create_task(CredentialFiles([file]).wait())
        await asyncio.sleep(0)
        file.write_text("two")
        return await waiting

    assert asyncio.run(scenario()) == (file,)


def test_only_files_that_are_used_are_followed(tmp_path: Path) -> None:
    """A password without SASL and certificates without TLS change nothing."""
    names = ("ca", "cert", "key", "password", "key_password")
    for name in names:
        (tmp_path / name).write_text(SECRET)
    environ = {
        "KAFKA_SSL_CA_LOCATION": str(tmp_path / "ca"),
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(tmp_path / "cert"),
        "KAFKA_SSL_KEY_LOCATION": str(tmp_path / "key"),
        "KAFKA_SSL_KEY_PASSWORD_FILE": str(tmp_path / "key_password"),
        "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password"),
        "KAFKA_SASL_USERNAME": "runbus-sink",
    }

    def followed(protocol: str) -> set[str]:
        settings = KafkaSettings.load(Sources(environ={**environ, "KAFKA_SECURITY_PROTOCOL": protocol}))
        assert SECRET not in repr(settings)
        return {path.name for path in settings.credential_files}

    assert followed("PLAINTEXT") == set()
    assert followed("SSL") == set(names) - {"password"}
    assert followed("SASL_PLAINTEXT") == {"password"}
    assert followed("SASL_SSL") == set(names)


def test_the_key_password_reaches_the_client(tmp_path: Path) -> None:
    """librdkafka gets it with the key, and only then."""
    for name in ("cert", "key"):
        (tmp_path / name).write_text("")
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(tmp_path / "cert"),
        "KAFKA_SSL_KEY_LOCATION": str(tmp_path / "key"),
        "KAFKA_SSL_KEY_PASSWORD": SECRET,
    }
    assert KafkaSettings.load(Sources(environ=environ)).client_config()["ssl.key.password"] == SECRET


@pytest.mark.parametrize("name", ["KAFKA_SSL", "CLICKHOUSE_SSL", "SCHEMA_REGISTRY_SSL"])
def test_files_that_cannot_be_used_are_said_by_name(name: str, tmp_path: Path) -> None:
    """A file that is not there, and a key without its certificate."""
    load = {"KAFKA": KafkaSettings.load, "CLICKHOUSE": ClickHouseSettings.load, "SCHEMA": RegistrySettings.load}
    key = tmp_path / "key"
    key.write_text("")
    with pytest.raises(ConfigError, match=f"{name}_CA_LOCATION names .*, which is not a file"):
        load[name.partition("_")[0]](Sources(environ={f"{name}_CA_LOCATION": str(tmp_path / "nothing")}))
    with pytest.raises(ConfigError, match=f"{name}_KEY_LOCATION is set and {name}_CERTIFICATE_LOCATION is not"):
        load[name.partition("_")[0]](Sources(environ={f"{name}_KEY_LOCATION": str(key)}))


def test_tls_files_want_an_https_address(tmp_path: Path) -> None:
    """A password that would go in the clear although a CA is set is refused."""
    ca = tmp_path / "ca"
    ca.write_text("")
    with pytest.raises(ConfigError, match=r"is not https, and CLICKHOUSE_SSL_\* is set"):
        ClickHouseSettings.load(Sources(environ={"CLICKHOUSE_SSL_CA_LOCATION": str(ca)}))
