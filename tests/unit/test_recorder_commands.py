"""Commands on their way to a loop, and its answers on their way to the log."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.recorder import Command, Recorder, RunBus
from runbus.recorder.commands import Answers, Inbox, Sent, standing
from runbus.recorder.events import StreamFinished, StreamStarted
from runbus.schemas.events import ControlCommand

NAMES = ("pause", "resume", "stop", "checkpoint", "set")
numbers = itertools.count()


def command(name: str, key: str = "", value: str = "", agent: str = "") -> ControlCommand:
    """Return a command for run r."""
    return ControlCommand(
        id=f"c{next(numbers)}",
        run_id="r",
        agent=agent,
        command=name,
        key=key,
        value=value,
        sent_at=1,
        sent_by="me@here",
    )


def log_of(*commands: ControlCommand, appended_at: int = 100) -> list[Sent]:
    """Return the commands as records, one offset after the other."""
    return [Sent(one, offset, appended_at) for offset, one in enumerate(commands)]


def inbox(*sent: Sent, began_at: int = 0) -> Inbox:
    """Return the inbox of agent a that has read these records to the end."""
    box = Inbox("r", "a", began_at)
    for one in sent:
        box.offer(one)
    box.reached(len(sent))
    return box


# --- what holds for a stream that begins later -------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["lr", "eps"]), st.integers(0, 9)), max_size=12),
    st.integers(0, 12),
)
def test_a_later_stream_gets_what_still_holds(history: list[tuple[str, str, int]], before: int) -> None:
    """Obeying what stands leaves it where a stream is that was there all the time; what is newer comes whole."""
    sent = [
        Sent(command(name, key if name == "set" else "", str(value)), offset, 10 if offset < before else 30)
        for offset, (name, key, value) in enumerate(history)
    ]
    found = standing(sent, began_at=20)
    assert obeyed(found) == obeyed([one.command for one in sent])
    assert [c for c in found if c.command in ("stop", "checkpoint")] == [
        one.command for one in sent[before:] if one.command.command in ("stop", "checkpoint")
    ]
    assert found[len(found) - len(sent[before:]) :] == [one.command for one in sent[before:]]


def obeyed(commands: list[ControlCommand]) -> tuple[bool, dict[str, str]]:
    """Return whether an agent is paused, and its values, after these commands."""
    paused, values = False, {}
    for one in commands:
        paused = {"pause": True, "resume": False}.get(one.command, paused)
        if one.command == "set":
            values[one.key] = one.value
    return paused, values


# --- the inbox ---------------------------------------------------------------------------------------------------


def test_an_inbox_takes_what_is_its_agents_once() -> None:
    """Other agents' commands, and those that are read again because another recorder has come, are passed over."""
    mine, others, everybodys = command("stop", agent="a"), command("stop", agent="b"), command("checkpoint")
    box = Inbox("r", "a", 0)
    box.offer(Sent(mine, 0, 1))
    assert not box.waiting, "nothing before the end of the log was seen"
    for sent in log_of(mine, others, everybodys):
        box.offer(sent)
    box.reached(3)
    assert box.take() == [mine, everybodys]
    newer = command("pause")
    box.offer(Sent(everybodys, 2, 1))
    box.offer(Sent(newer, 3, 1))
    assert box.take() == [newer]
    assert box.take() == []


def test_a_topic_that_was_created_anew_begins_again() -> None:
    """Its offsets are small again, and its commands are taken."""
    box = inbox(*log_of(command("pause"), command("resume")))
    box.take()
    box.reached(0)
    again = command("stop")
    box.offer(Sent(again, 0, 1))
    assert box.take() == [again]


def test_a_loop_that_takes_nothing_keeps_the_newest() -> None:
    """Memory is bounded, and what is given up is counted."""
    sent = log_of(*(command("set", "x", str(i)) for i in range(1_005)))
    box = inbox(*sent)
    assert box.overflowed == 5
    assert [one.value for one in box.take()] == [str(i) for i in range(5, 1_005)]


# --- what the recorder says ---------------------------------------------------------------------------------------


class Agent:
    """A recorder whose inbox a test fills."""

    def __init__(self) -> None:
        self.bus = RunBus()
        self.events = self.bus.subscribe("test")
        self.recorder = Recorder("r", "a", bus=self.bus, kafka=False)
        self.recorder._given = replace(self.recorder._given, control=True)
        self.recorder._inbox = inbox()

    def told(self, *names: str) -> list[Command]:
        """Return what the loop gets once these have come."""
        assert self.recorder._inbox is not None
        self.recorder._inbox.waiting.extend(command(name) for name in names)
        return self.recorder.commands()

    def said(self) -> list[tuple[str, str, str]]:
        """Return command, answer and note of each entry in the newest event of the log."""
        text = ""
        while (event := self.events.get(timeout=0)) is not None:
            if isinstance(event, (StreamStarted, StreamFinished)):
                text = event.event.commands
        return [(one["command"], one["answer"], one.get("note", "")) for one in json.loads(text)]


def test_what_was_handed_out_is_done_when_the_loop_asks_again() -> None:
    """Before, the log says that the agent has it."""
    agent = Agent()
    (taken,) = agent.told("checkpoint")
    assert (taken.name, taken.everybody, taken.sent_by) == ("checkpoint", True, "me@here")
    assert agent.said() == [("checkpoint", "", "")]
    assert agent.recorder.commands() == []
    assert agent.said() == [("checkpoint", "done", "")]


def test_answers_come_at_once_and_the_first_counts() -> None:
    """`done` and `refuse` have words; what follows changes nothing."""
    agent = Agent()
    first, second = agent.told("checkpoint", "set")
    first.done("/tmp/model-7")
    second.refuse("no such value")
    second.done()
    agent.recorder.commands()
    assert agent.said() == [("checkpoint", "done", "/tmp/model-7"), ("set", "refused", "no such value")]


@pytest.mark.parametrize(("outcome", "answer"), [("completed", "done"), ("interrupted", "done"), ("failed", "")])
def test_the_end_of_the_stream_answers_unless_it_failed(outcome: str, answer: str) -> None:
    """A loop that leaves because of `stop` has obeyed; FINISHED says so. One that crashed has not."""
    agent = Agent()
    agent.told("stop")
    agent.recorder.close(outcome)  # type: ignore[arg-type]
    assert agent.said() == [("stop", answer, "")]
    assert agent.recorder.commands() == []


def test_a_value_is_json_or_text() -> None:
    """What a newer operator sends that is no JSON is still handed out."""
    agent = Agent()
    assert agent.recorder._inbox is not None
    agent.recorder._inbox.waiting.extend([command("set", "lr", "[0.1]"), command("set", "name", "{")])
    assert [(one.key, one.value) for one in agent.recorder.commands()] == [("lr", [0.1]), ("name", "{")]


def test_the_events_of_a_stream_stay_small() -> None:
    """They repeat the newest commands, within 64 KiB."""
    answers = Answers()
    for i in range(1000):
        answers.hand(command("set", f"key-{i}", json.dumps("x" * 100)))
    entries = json.loads(answers.text())
    assert len(answers.text()) <= 64 * 1024
    assert entries[-1]["key"] == "key-999"
    assert len(entries) > 100


def test_without_control_nothing_comes_and_nothing_is_asked() -> None:
    """It is opt-in; and without Kafka there is nothing to come."""
    assert Recorder("r", kafka=False).commands() == []
    with pytest.raises(ConfigError, match="leave out kafka=False"):
        Recorder("r", kafka=False, control=True)


def test_a_fault_of_ours_does_not_reach_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and there are no commands."""
    agent = Agent()
    agent.recorder._inbox = None
    agent.recorder._courier_settings = None
    assert agent.recorder.commands() == []
    assert "the commands of r/a cannot be taken" in caplog.text
