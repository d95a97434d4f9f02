"""Makes commands for the agents of a run, and writes them to the topic `control`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Literal

from runbus.config.errors import ConfigError, InvalidValue
from runbus.kafka import sending
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import CONTROL, check_id, control_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import ControlCommand

CommandName = Literal["pause", "resume", "stop", "checkpoint", "set"]
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
        sent_by=sending.sender(),
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
    """Write commands to the log, in their order; returns once they are accepted. Raises like runbus.kafka.sending."""
    topic = settings.topic_prefix + CONTROL.name
    known = schema(ControlCommand.SCHEMA)
    values = [(topic_key(command), codec.frame(topic, known, command.encode())) for command in commands]
    sending.send(settings, CONTROL, values, "runbus-control")
