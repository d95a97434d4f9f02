"""Makes commands for the agents of a run, and writes them to the topic `control`."""

from __future__ import annotations

import getpass
import json
import socket
import time
import uuid
from collections.abc import Sequence
from typing import Literal

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runbus.config.errors import ConfigError, InvalidValue, RunBusError
from runbus.kafka.clients import new_operator_producer
from runbus.kafka.errors import BrokerUnavailable, RightMissing, TopicMissing, no_answer
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import CONTROL, check_id, control_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import ControlCommand

CommandName = Literal["pause", "resume", "stop", "checkpoint", "set"]
_DELIVERY_S = 15.0
_VALUE_BYTES = 4 * 1024


def make_command(run: str, agent: str, name: CommandName, key: str = "", value: str = "") -> ControlCommand:
    """Return a command of this user, now.

    Args:
        run: name of the run.
        agent: name of the agent; empty = every agent of the run.
        name: what to do.
        key: of `set`.
        value: of `set`: JSON.

    Raises:
        ConfigError: no run or agent can have that name.
    """
    try:
        check_id("run_id", run)
        if agent:
            check_id("agent_id", agent)
    except InvalidValue as error:
        raise ConfigError(str(error)) from error
    return ControlCommand(
        id=uuid.uuid4().hex,
        run_id=run,
        agent=agent,
        command=name,
        key=key,
        value=value,
        sent_at=time.time_ns() // 1000,
        sent_by=_sender(),
    )


def setting(text: str) -> tuple[str, str]:
    """Return key and value, as JSON, of `key=value`; what is not JSON is text: `lr=0.001`, `name=warm start`.

    Raises:
        ConfigError: no key, or more than 4 KiB.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"{text[:100]!r} is not key=value, as in: runbus control set RUN lr=0.001")
    try:
        value = json.dumps(json.loads(value))
    except ValueError:
        value = json.dumps(value)
    if len(text.encode()) > _VALUE_BYTES:
        raise ConfigError(f"{key} and its value have {len(text.encode())} bytes, at most {_VALUE_BYTES}: send a path")
    return key, value


def topic_key(command: ControlCommand) -> bytes:
    """Return the key of a command: a newer one about the same thing replaces it in the topic."""
    what = {"resume": "pause", "set": f"set/{command.key}"}.get(command.command, command.command)
    return control_key(command.run_id, command.agent, what)


def send(settings: KafkaSettings, codec: Codec, commands: Sequence[ControlCommand]) -> None:
    """Write commands to the log, in their order; returns once they are accepted.

    Raises:
        BrokerUnavailable: the broker did not take them within 15 s.
        TopicMissing, RightMissing
        RunBusError: it refused one.
    """
    topic = settings.topic_prefix + CONTROL.name
    reasons: list[str] = []
    errors: list[KafkaError] = []

    def told(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            errors.append(error)

    producer = _producer(settings, reasons)
    for command in commands:
        value = codec.frame(topic, schema(ControlCommand.SCHEMA), command.encode())
        producer.produce(topic, value, topic_key(command), partition=0, on_delivery=told)
    if producer.flush(_DELIVERY_S + 1) or errors:
        _raise(settings, topic, errors[0] if errors else None, reasons)


def _producer(settings: KafkaSettings, reasons: list[str]) -> Producer:
    try:
        return new_operator_producer(settings, _DELIVERY_S, lambda error: reasons.append(error.str()))
    except KafkaException as error:
        raise BrokerUnavailable(f"the Kafka settings cannot be used: {error.args[0].str()}") from error


def _raise(settings: KafkaSettings, topic: str, error: KafkaError | None, reasons: Sequence[str]) -> None:
    code = error.code() if error is not None else KafkaError._MSG_TIMED_OUT
    if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        raise TopicMissing(f"there is no topic {topic}: run `runbus topics apply` (RUNBUS_TOPIC_PREFIX is the prefix)")
    if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise RightMissing(settings, [f"Write on Topic {topic}"])
    if code == KafkaError._MSG_TIMED_OUT:
        raise BrokerUnavailable(no_answer(settings, "; ".join(reasons)))
    raise RunBusError(f"Kafka at {settings.bootstrap_servers} refuses the command: {error}")


def _sender() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry for this user id, as in a container
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
