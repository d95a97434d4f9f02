"""The catalogue of rights on a real authorizer: applied, listed, repeated; and what it keeps out."""

from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from runbus.config.secret import Secret
from runbus.kafka.acls import AclsRefused, apply_acls, list_acls
from runbus.kafka.admin import apply_topics, list_topics
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.principals import PRINCIPALS
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.user_apps import user_apps
from tests.integration.security.conftest import Installation

pytestmark = pytest.mark.integration


def produce(settings: KafkaSettings, topic: str) -> KafkaError | None:
    """Return what the broker says to one record."""
    said: list[KafkaError | None] = []
    producer = Producer({**settings.client_config(), "message.timeout.ms": 15_000, "log_level": 0})
    producer.produce(settings.topic_prefix + topic, b"x", on_delivery=lambda error, _: said.append(error))
    producer.flush(20)
    assert len(said) == 1
    return said[0]


def consume(settings: KafkaSettings, topic: str) -> KafkaError | None:
    """Return what the broker says to one fetch; None = it hands records out, or says that there are no more."""
    config = {"group.id": "none", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**settings.client_config(), **config})
    consumer.assign([TopicPartition(settings.topic_prefix + topic, 0, 0)])
    try:
        while (message := consumer.poll(20)) is not None:
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return None
            if error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # the group is not what is asked about
                return error
        raise AssertionError("the broker says nothing")
    finally:
        consumer.close()


def test_rights_are_given_once_and_listed(installation: Installation) -> None:
    """Applied twice nothing changes the second time, and the list shows each right as given."""
    again = apply_acls(installation.root, installation.principals)
    assert {change for _, change in again} == {"unchanged"}
    listed = list_acls(installation.root, installation.principals)
    assert len(listed) == len(again) == sum(len(p.rights) for p in PRINCIPALS)
    assert {grant.state for grant in listed} == {"given"}


def test_a_users_stream_app_has_rights_of_its_own(installation: Installation) -> None:
    """By its name alone; what readers may read of it is given too, and where nobody names it it is too much."""
    apps = user_apps("rates")
    names = {**installation.principals, "rates": f"User:rates{installation.suffix}"}
    given = apply_acls(installation.root, names, apps=apps)
    assert {grant.role for grant, change in given if change == "created"} == {"rates", "reader", "watchdog"}
    assert {grant.state for grant in list_acls(installation.root, names, apps=apps)} == {"given"}
    extra = {(g.role, g.text) for g in list_acls(installation.root, installation.principals) if g.state == "extra"}
    assert extra == {
        ("reader", f"Read on Topic {installation.prefix}rates"),
        ("reader", f"Describe on Group {installation.prefix}rates"),
        ("watchdog", f"Describe on Group {installation.prefix}rates"),
    }


def test_a_dry_run_says_what_it_would_do_and_does_nothing(installation: Installation) -> None:
    """For users without rights everything would be created, and afterwards it is still missing."""
    nobody = {role: f"{name}-nobody" for role, name in installation.principals.items()}
    assert {change for _, change in apply_acls(installation.root, nobody, dry_run=True)} == {"would create"}
    assert {grant.state for grant in list_acls(installation.root, nobody)} == {"missing"}


def test_the_admin_applies_topics_and_rights_and_nothing_else(installation: Installation) -> None:
    """The job needs its own rights only; it reads and writes no record."""
    admin = installation.settings("admin")
    assert {change for _, change in apply_topics(admin, 2)} == {"unchanged"}
    assert {change for _, change in apply_acls(admin, installation.principals)} == {"unchanged"}
    error = produce(admin, "steps")
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_user_without_the_right_hears_which_one(installation: Installation) -> None:
    """A recorder's user cannot see or change the rights of anybody."""
    with pytest.raises(AclsRefused, match="lacks Describe or Alter on Cluster kafka-cluster"):
        list_acls(installation.settings("recorder"), installation.principals)


def test_a_recorder_cannot_read_and_a_reader_cannot_write(installation: Installation) -> None:
    """Each is refused by the broker what is the other's."""
    recorder, reader = installation.settings("recorder"), installation.settings("reader")
    assert produce(recorder, "steps") is None
    assert consume(reader, "steps") is None
    for error in (consume(recorder, "steps"), produce(reader, "steps"), produce(recorder, "episodes")):
        assert error is not None
        assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_who_is_not_authenticated_gets_nothing(installation: Installation) -> None:
    """No password, a wrong one, no TLS, no certificate, a strange authority: not even the topics' names."""
    right = installation.settings("reader")
    tls_port = replace(installation.broker.certificate_settings("stranger"), ssl_certificate_location="")
    strangers = [
        replace(right, sasl_password=Secret("wrong")),
        replace(right, sasl_username="nobody"),
        replace(right, security_protocol="SSL"),
        replace(right, security_protocol="PLAINTEXT", ssl_ca_location=""),
        replace(right, ssl_ca_location=""),
        replace(tls_port, ssl_key_location=""),
    ]
    for settings in strangers:
        with pytest.raises(BrokerUnavailable) as caught:
            list_topics(settings)
        assert "wrong" not in str(caught.value).replace("wrong version number", "")
        assert right.sasl_password.reveal() not in str(caught.value)


def test_a_certificate_is_a_principal_of_its_own(installation: Installation) -> None:
    """With mutual TLS the subject is the name; it may do what was given to it."""
    settings = installation.broker.certificate_settings("agent", installation.prefix)
    refused = produce(settings, "steps")
    assert refused is not None
    assert refused.code() in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._UNKNOWN_TOPIC}
    apply_acls(installation.root, {**installation.principals, "recorder": "User:CN=agent"})
    assert produce(settings, "steps") is None


def test_a_broker_without_an_authorizer_says_so(kafka: str, installation: Installation) -> None:
    """Rights that nobody checks are not applied in silence."""
    with pytest.raises(AclsRefused, match="no authorizer"):
        apply_acls(KafkaSettings(kafka), installation.principals)
