"""An app of runbus.faust: its settings, those that it refuses, and how it shows who it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runbus import faust
from runbus.config.errors import ConfigError
from runbus.config.secret import Secret
from runbus.faust import new_app
from runbus.faust.settings import FIXED, check_settings
from runbus.kafka.settings import KafkaSettings
from tests.integration.security.authority import Authority

KAFKA = KafkaSettings("one:9092,two:9093", topic_prefix="lab.")
PAGE = (Path(__file__).parents[3] / "docs" / "faust.md").read_text(encoding="utf-8")


def test_an_app_is_on_runbuss_broker_under_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group and topics begin with the prefix, session and instance are those of every stream app, options go on."""
    monkeypatch.setenv("RUNBUS_STREAMS_INSTANCE_ID", "worker-3")
    monkeypatch.setenv("RUNBUS_STREAMS_SESSION_SECONDS", "7")
    app = new_app("counts", KAFKA, broker_commit_interval=0.5)
    assert app.conf.id == "lab.faust.counts"
    assert [str(url) for url in app.conf.broker] == ["kafka://one:9092", "kafka://two:9093"]
    assert (app.conf.consumer_group_instance_id, app.conf.broker_session_timeout) == ("worker-3", 7.0)
    assert app.conf.broker_commit_interval == 0.5
    assert app.own_topic("out").get_topic_name() == "lab.faust.counts-out"
    assert app.made == {"lab.faust.counts-out"}


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("processing_guarantee", "exactly_once", "bypasses Faust's transactions; for exactly once write a core"),
        ("store", "rocksdb://", "a store on disk is ahead of its changelog"),
        ("topic_allow_declare", True, "topics exist before the start"),
        ("topic_disable_leader", False, "topics exist before the start"),
        ("autodiscover", True, "imports modules that it finds"),
        ("agent_supervisor", "mode.OneForOneSupervisor", "so that its record comes again"),
        ("consumer_auto_offset_reset", "latest", "begins where the log does"),
        ("table_standby_replicas", 1, "read back from its changelog"),
        ("broker", "kafka://elsewhere", "follows from RunBus's own settings"),
        ("broker_credentials", None, "follows from RunBus's own settings"),
    ],
)
def test_an_unsafe_setting_is_refused(option: str, value: Any, reason: str) -> None:
    """With the reason; what the setting is anyway is no mistake."""
    with pytest.raises(ConfigError, match=reason):
        new_app("counts", KAFKA, **{option: value})
    if option in FIXED:
        new_app("counts", KAFKA, **{option: FIXED[option].value})


def test_a_variable_of_fausts_own_changes_nothing_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over what an app gives, so the app looks at what came of it; and once more at its start."""
    monkeypatch.setenv("PROCESSING_GUARANTEE", "exactly_once")
    with pytest.raises(ConfigError, match="processing_guarantee='exactly_once' is not safe"):
        new_app("counts", KAFKA)
    monkeypatch.delenv("PROCESSING_GUARANTEE")
    monkeypatch.setenv("BROKER_URL", "kafka://elsewhere")
    with pytest.raises(ConfigError, match=r"the broker is kafka://elsewhere, and RunBus's is one:9092,two:9093"):
        new_app("counts", KAFKA)
    monkeypatch.delenv("BROKER_URL")
    app = new_app("counts", KAFKA)
    with pytest.warns(UserWarning, match="Reconfiguring late"):  # Faust's own
        app.conf.store = "rocksdb://"
    with pytest.raises(ConfigError, match="store='rocksdb:' is not safe"):
        check_settings(app.conf, KAFKA)


@pytest.mark.parametrize("name", ["", "Counts", "a/b", "counts-", "c" * 41])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """It is part of the names of topics."""
    with pytest.raises(ConfigError, match="give it a name of 1 to 40"):
        new_app(name, KAFKA)


def test_what_loses_records_is_refused_where_it_is_called() -> None:
    """More than one record at a time, batches, and another topic in between."""
    app = new_app("counts", KAFKA)
    with pytest.raises(ConfigError, match="concurrency > 1 commits past records"):
        app.agent(app.topic("x"), concurrency=2)
    stream = app.stream(app.channel())
    for call in (stream.take, stream.take_events, stream.take_with_timestamp):
        with pytest.raises(ConfigError, match="acknowledges a batch whose body failed"):
            call(10, within=1.0)
    with pytest.raises(ConfigError, match=r"send what you need to app\.own_topic"):
        stream.group_by(lambda value: value)


def test_a_user_of_the_broker_is_shown_by_password_or_certificate(tmp_path: Path) -> None:
    """As RunBus's settings say."""
    authority = Authority(tmp_path)
    file, key = authority.issue("someone")
    secret = KafkaSettings(
        "one:9092",
        "SASL_SSL",
        sasl_username="lab",
        sasl_password=Secret("word"),
        ssl_ca_location=str(authority.ca),
    )
    credentials = new_app("counts", secret).conf.broker_credentials
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == ("lab", "word")
    assert credentials.ssl_context is not None
    assert "word" not in repr(credentials)
    certificate = KafkaSettings(
        "one:9092",
        "SSL",
        ssl_ca_location=str(authority.ca),
        ssl_certificate_location=str(file),
        ssl_key_location=str(key),
    )
    assert new_app("counts", certificate).conf.broker_credentials.protocol.value == "SSL"


def test_the_page_names_everything_that_is_exported_and_every_fixed_setting() -> None:
    """Functions with their argument; settings with their values."""
    assert not [name for name in faust.__all__ if not re.search(rf"\b{name}\b", PAGE)]
    assert not [name for name in FIXED if f"`{name}`" not in PAGE]
