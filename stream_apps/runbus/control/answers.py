"""Shows which agents of a run take commands, and what they answered: from the log's commands and from ClickHouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.deadline import Deadline
from runbus.config.errors import InvalidValue
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import CONTROL
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import ControlCommand

_AGAIN_S = 0.2
_CLIENT = "runbus-control"  # a consumer needs the name of a group; it joins none


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What one stream said to one command.

    Attributes:
        agent, attempt: the stream.
        answer: `done`, `refused`, or empty: it has the command and has not answered.
        note: in the agent's words.
        answered_at: None = it has not.
    """

    agent: str
    attempt: int
    answer: str
    note: str
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Taker:
    """One stream of a run that has not ended.

    Attributes:
        takes: it takes commands (`Recorder(control=True)`).
        replaced: the agent has a newer stream.
    """

    agent: str
    attempt: int
    takes: bool
    replaced: bool


@dataclass(frozen=True, slots=True)
class RunAnswers:
    """What ClickHouse has of a run's commands.

    Attributes:
        takers: the streams that have not ended.
        answers: by the command's id.
    """

    takers: Sequence[Taker]
    answers: Mapping[str, Sequence[CommandAnswer]]

    def taken(self, command: ControlCommand) -> bool:
        """Return whether an agent takes the command, or took it and has ended."""
        takes = any(t.takes and not t.replaced and command.agent in ("", t.agent) for t in self.takers)
        return takes or command.id in self.answers

    def missing(self, command: ControlCommand) -> list[str]:
        """Return the agents that take commands, ran when this one was sent, still run, and have not answered it."""
        answered = {(a.agent, a.attempt) for a in self.answers.get(command.id, ()) if a.answer}
        return [
            taker.agent
            for taker in self.takers
            if taker.takes
            and not taker.replaced
            and command.agent in ("", taker.agent)
            and command.sent_at >= taker.attempt
            and (taker.agent, taker.attempt) not in answered
        ]


def sent_commands(settings: KafkaSettings, codec: Codec, run: str) -> list[ControlCommand]:
    """Return the commands of a run that the topic still has, the oldest first. What cannot be read is left out.

    Raises:
        RunBusError: no broker, no topic, no right.
    """
    found = []
    with open_topic(settings, CONTROL, _CLIENT) as log:
        for message in log.records():
            if (message.key() or b"").startswith(f"{run}/".encode()):
                try:
                    writer, body = codec.open(message.value(), ControlCommand.SCHEMA)
                    found.append(ControlCommand.decode(body, writer))
                except (InvalidValue, UnknownSchema):
                    continue
    return found


def run_answers(target: ClickHouseSettings, run: str) -> RunAnswers:
    """Return who takes commands and what was answered, as far as it is stored. Raises RunBusError."""
    with closing(connect(target)) as client, asking():
        parameters = {"run_id": run}
        takers = client.query(query("command_takers"), parameters=parameters, settings={"readonly": 1})
        rows = client.query(query("command_answers"), parameters=parameters, settings={"readonly": 1})
    answers: dict[str, list[CommandAnswer]] = {}
    for id_, *row in rows.result_rows:
        answers.setdefault(id_, []).append(CommandAnswer(*row))
    return RunAnswers([Taker(*row) for row in takers.result_rows], answers)


def wait_for_answers(
    ask: Callable[[], RunAnswers], commands: Iterable[ControlCommand], seconds: float
) -> tuple[RunAnswers, list[str]]:
    """Return what was answered once every agent has, or after `seconds`; and the agents that have not.

    An agent is known once the start of its stream is stored: as long as none is, it is waited for.
    """
    deadline = Deadline.after(seconds, time.monotonic())
    wanted = list(commands)
    while True:
        found = ask()
        missing = sorted({agent for command in wanted for agent in found.missing(command)})
        if (all(map(found.taken, wanted)) and not missing) or deadline.passed(time.monotonic()):
            return found, missing
        time.sleep(min(_AGAIN_S, deadline.remaining(time.monotonic())))
