"""Each right of the catalogue, taken away: the component says, once and by name, which one it lacks."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclBindingFilter, AdminClient

from runbus.audit.log import LogReader
from runbus.control.sending import make_command, send
from runbus.kafka.acls import binding, list_acls
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import RightMissing
from runbus.kafka.model import TopicPartition
from runbus.kafka.principals import ResourceNames, Right, Role, principal
from runbus.kafka.rights import check_rights, lacking
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import STEPS
from runbus.reader import Reader
from runbus.recorder import Recorder, RunBus
from runbus.recorder.journal.folder import orphans
from runbus.recorder.journal.reading import survey
from runbus.recorder.journal.recovery import Manner, deliver
from runbus.recorder.settings import CourierSettings
from runbus.schemas.codec import Codec
from runbus.streams.kafka import Transactions
from tests.integration.ended import fails
from tests.integration.security.conftest import Installation
from tests.integration.security.secured_processes import MODULES, environment
from tests.support.journals import step, stream_in
from tests.support.waiting import until

pytestmark = pytest.mark.integration

APPS: tuple[Role, ...] = ("sink", "episodes", "live-metrics")


@contextmanager
def without(installation: Installation, role: Role, right: Right) -> Iterator[str]:
    """Take one right away, and give it back; yield how it is said."""
    names = ResourceNames(installation.prefix)
    acl = binding(installation.principals[role], right, names)
    admin = admin_client(installation.root)
    (deleted,) = admin.delete_acls([_only(acl)]).values()
    assert len(deleted.result(20)) == 1
    yield right.said(names)
    admin.create_acls([acl])[acl].result(20)
    until("it has it back", lambda: right.said(names) not in missing_of(installation))


def _only(acl: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        acl.restype,
        acl.name,
        acl.resource_pattern_type,
        acl.principal,
        acl.host,
        acl.operation,
        acl.permission_type,
    )


def missing_of(installation: Installation) -> set[str]:
    """Return the rights that the broker does not have."""
    listed = list_acls(installation.root, installation.principals)
    return {grant.text for grant in listed if grant.state == "missing"}


def _lacks(admin: AdminClient, rights: list[Right], names: ResourceNames, right: Right) -> bool:
    return list(lacking(admin, rights, names)) == [right]


@pytest.mark.parametrize("role", [*APPS, "watchdog", "dashboard", "reader", "operator", "annotator"])
def test_each_right_on_a_topic_or_group_is_named_before_work_begins(installation: Installation, role: Role) -> None:
    """With all but one of its rights the check names that one; with all of them it is silent."""
    settings, names = installation.settings(role), ResourceNames(installation.prefix)
    admin = admin_client(settings)
    rights = [right for right in principal(role).rights if not right.prefixed]
    until("nothing is missing", lambda: not list(lacking(admin, rights, names)))
    for right in rights:
        with without(installation, role, right) as said:
            until(f"{said} is missing", partial(_lacks, admin, rights, names, right))
            with pytest.raises(RightMissing) as caught:
                check_rights(settings, admin, role)
            assert f"refuses user {settings.sasl_username}: it lacks {said}; an admin gives it" in str(caught.value)
        until("it is there again", lambda: not list(lacking(admin, rights, names)))


@pytest.mark.parametrize("role", APPS)
def test_a_process_without_a_right_ends_with_one_sentence(
    installation: Installation, tmp_path: Path, role: Role
) -> None:
    """The real process says it and exits with 1: nothing was read, nothing is half done."""
    right = next(r for r in principal(role).rights if r.name == "dead-letters")
    with without(installation, role, right) as said:
        line = fails(MODULES[role], environment(installation.settings(role), tmp_path, role), seconds=120)
        assert line.startswith("error: Kafka at")
        assert f"it lacks {said}" in line


@pytest.mark.long  # short: the recorder below, and test_security_acls.py
def test_a_process_with_a_wrong_password_says_so(installation: Installation, tmp_path: Path) -> None:
    """Not "is it running?", and without the password."""
    settings = installation.settings("episodes")
    env = environment(settings, tmp_path, "episodes")
    Path(env["KAFKA_SASL_PASSWORD_FILE"]).write_text("hunter2")
    line = fails(MODULES["episodes"], env, seconds=120)
    assert f"refuses user {settings.sasl_username}" in line
    assert "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD" in line
    assert "hunter2" not in line


def test_a_transaction_without_its_right_is_named(installation: Installation) -> None:
    """The broker tells of transactional ids only when one is used."""
    right = next(r for r in principal("episodes").rights if r.resource == "TransactionalId")
    group, source = f"{installation.prefix}episodes", TopicPartition(f"{installation.prefix}{STEPS.name}", 0)

    async def scene() -> None:
        transactions = Transactions(installation.settings("episodes"), group, source)
        try:
            await transactions.open()
        finally:
            await transactions.close()

    asyncio.run(scene())
    with (
        without(installation, "episodes", right),
        pytest.raises(RightMissing, match=f"lacks Write on TransactionalId {group}-{source.topic}-0"),
    ):
        asyncio.run(scene())


@pytest.mark.parametrize("name", ["steps", "runs", "heartbeats", "dead-letters"])
def test_a_refused_recorder_says_so_counts_and_never_raises(
    installation: Installation, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The loop goes on; the log names the right once; no step is delivered or lost without a count."""
    right = next(r for r in principal("recorder").rights if r.name == name)
    with without(installation, "recorder", right) as said:
        recorder = Recorder("refused", bus=RunBus(), settings=installation.settings("recorder"))
        for i in range(1000):
            recorder.step(i, 1.0, False, False, 0.5)
        named = f"refuses user {installation.user('recorder')}: it lacks {said}"
        until("it is said", lambda: named in caplog.text)
        recorder.close()
        stats = recorder.stats()
        assert stats["produced"] == 1000
        assert caplog.text.count(named) == 1
    until("all is delivered once it may", lambda: recorder.flush(0.1), 60)
    stats = recorder.stats()
    assert (stats["delivered"], stats["dropped"]) == (1000, 0)
    assert installation.settings("recorder").sasl_password.reveal() not in caplog.text


def test_a_recorder_that_may_take_no_commands_says_so_and_records(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """The recorder's own user can read nothing; as a controlled recorder it takes what the operator sends."""
    recorder = Recorder("deaf", bus=RunBus(), settings=installation.settings("recorder"), control=True)
    recorder.step(0, 1.0, False, False, 0.5)
    lacks = f"refuses user {installation.user('recorder')}: it lacks Read on Topic {installation.prefix}control"
    until("it is said", lambda: lacks in caplog.text)
    recorder.close()
    assert recorder.flush(30)
    assert (recorder.stats()["delivered"], recorder.commands()) == (1, [])
    controlled = installation.settings("controlled-recorder")
    with Recorder("led", bus=RunBus(), settings=controlled, control=True) as led:
        send(installation.settings("operator"), Codec(), [make_command("led", "", "checkpoint")])
        until("it has it", lambda: [command.name for command in led.commands()] == ["checkpoint"])
    assert led.flush(30)
    with pytest.raises(RightMissing, match=r"lacks Write on Topic .*control"):
        send(controlled, Codec(), [make_command("led", "", "stop")])


def test_a_journal_is_delivered_by_who_may_look_into_the_log(installation: Installation, tmp_path: Path) -> None:
    """The recorder's own user lacks the right, by name, and nothing is sent; asked to, it sends what may be there."""
    settings = installation.settings("recorder")
    for name in ("looked", "resent"):
        leave_journal(tmp_path, name)
    with Recorder("run-1", "agent-0", bus=RunBus(), settings=settings) as other:  # there is something to look through
        other.step(0, 1.0, False, False, 0.5)
    assert other.flush(30)
    (looked,) = orphans(tmp_path / "looked")
    (resent,) = orphans(tmp_path / "resent")
    with pytest.raises(RightMissing, match=r"lacks (Read on Topic .*steps|Describe on Group .*reader\.journal)"):
        deliver(looked, CourierSettings(settings))
    assert survey(looked).rows == 10
    found = deliver(looked, CourierSettings(installation.settings("journaled-recorder")))
    assert (found.done, found.sent, found.in_log, found.resent) == (True, 10, 0, False)
    found = deliver(resent, CourierSettings(settings), Manner(resend=True))
    assert (found.done, found.sent, found.resent) == (True, 10, True)


def leave_journal(folder: Path, agent: str) -> None:
    """Leave the journal of an agent of ten steps, as its death does."""
    stream, _ = stream_in(folder / agent, "batch")
    for n in range(10):
        step(stream, n)
    stream.close()
    stream.journal.leave()


def test_a_recorder_with_a_wrong_password_waits_and_says_who_is_refused(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """An unauthenticated recorder keeps its steps, within its memory, and the loop never hears of it."""
    installation.broker.passwords["nobody"] = "hunter2"
    settings = installation.broker.settings("nobody", installation.prefix)
    recorder = Recorder("refused", bus=RunBus(), settings=settings)
    for i in range(1000):
        recorder.step(i, 1.0, False, False, 0.5)
    with caplog.at_level(logging.DEBUG):
        until("it is said", lambda: "refuses user nobody" in caplog.text)
        recorder.close()
        assert not recorder.flush(0.1)
    assert (recorder.stats()["produced"], recorder.stats()["delivered"]) == (1000, 0)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(("name", "said"), [("steps", "Topic {}steps"), ("reader.", "Group {}reader.page")])
def test_a_reader_without_a_right_names_it(installation: Installation, name: str, said: str) -> None:
    """Of the topic or of its cursor's group; once it has it back, a new one reads and commits."""
    settings = installation.settings("reader")
    right = next(r for r in principal("reader").rights if r.name == name)
    wanted = f"lacks Read on {said.format(installation.prefix)}"
    with without(installation, "reader", right):
        until("it is refused", lambda: wanted in refusal_of(settings))
    until("it reads", lambda: refusal_of(settings) == "")


def refusal_of(settings: KafkaSettings) -> str:
    """Return why a reader cannot read; "" if it can."""
    with Reader("page", start="latest", settings=settings) as reader:
        try:
            reader.lag()
            reader.commit()
        except RightMissing as error:
            return str(error)
    return ""


def test_an_audit_without_a_right_names_it(installation: Installation) -> None:
    """It needs to read three topics and to see the sink's offsets."""
    settings = installation.settings("reader")
    reads: list[tuple[str, Callable[[LogReader], object]]] = [
        ("steps", lambda reader: reader.streams({})),
        ("metrics", lambda reader: reader.streams({})),
        ("runs", lambda reader: reader.streams({})),
        ("sink", lambda reader: reader.committed(STEPS)),
    ]
    for name, read in reads:
        right = next(r for r in principal("reader").rights if r.name == name)
        with without(installation, "reader", right) as said, pytest.raises(RightMissing, match=said):
            read(LogReader(settings, Codec(), ResourceNames(installation.prefix).sink_group))
