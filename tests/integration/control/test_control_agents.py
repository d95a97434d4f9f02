"""`runbus control` and real agents: what was asked is obeyed, and the log says by whom."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from runbus.control.sending import CommandName, make_command, send
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.schemas.codec import Codec
from tests.integration.sink.conftest import migrated, sinks, tables
from tests.integration.sink.sink_processes import PARTITIONS, Sinks, Tables, environment
from tests.support.scripts import RunScript, user_scripts
from tests.support.waiting import until

pytestmark = pytest.mark.integration
__all__ = ["migrated", "sinks", "tables"]

#: Steps until it is told to stop, and prints what it is told.
AGENT = """
    import json, sys, time
    from runbus.recorder import Recorder

    run, agent, control = sys.argv[1:4]
    with Recorder(run, agent, control=control == "yes") as recorder:
        recorder.reset(0.0)
        print("ready", flush=True)
        paused = stopping = False
        while not stopping:
            for command in recorder.commands():
                print(json.dumps([command.name, command.key, command.value]), flush=True)
                paused = command.name == "pause" or (paused and command.name != "resume")
                stopping = command.name == "stop"
                if command.name == "checkpoint":
                    command.done("/models/7")
                if command.key == "unknown":
                    command.refuse("there is no such value")
            if not paused:
                recorder.step(0, 1.0, False, False, 0.0)
            time.sleep(0.005)
"""


class Control:
    """An installation with a sink, its agents, and the commands."""

    def __init__(
        self, kafka: KafkaSettings, env: dict[str, str], folder: Path, run_script: RunScript, tables: Tables
    ) -> None:
        self.run = f"run-{uuid.uuid4().hex[:8]}"
        self._kafka, self._env, self._folder, self._script = kafka, env, folder, run_script
        self._tables, self._streams = tables, dict[str, int]()

    def agent(self, name: str, control: str = "yes") -> subprocess.Popen[str]:
        """Start one; on return it runs, and its start is stored."""
        process = self._script(self._kafka, AGENT, self.run, name, control)
        assert heard(process) == "ready"
        until("its start is stored", lambda: self.streams(name) > self._streams.get(name, 0))
        self._streams[name] = self.streams(name)
        return process

    def streams(self, agent: str) -> int:
        """Return how many streams of an agent are stored."""
        condition = "run_id = {run:String} AND agent_id = {agent:String}"
        sql = f"SELECT uniqExact(attempt) FROM runs WHERE {condition}"
        return int(str(self._tables.one(sql, run=self.run, agent=agent)))

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run one about the run; return what it printed."""
        name, *rest = arguments
        done = subprocess.run(
            [sys.executable, "-m", "runbus.cli", *name.split(), self.run, *rest],
            env={**os.environ, **self._env},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def control(
    kafka_settings: KafkaSettings, migrated: ClickHouseSettings, sinks: Sinks, tables: Tables, tmp_path: Path
) -> Iterator[Control]:
    """Yield topics, tables and a sink of this test's own."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    sinks.start()
    with user_scripts() as run_script:
        yield Control(kafka_settings, environment(kafka_settings, migrated), tmp_path, run_script, tables)


def heard(process: subprocess.Popen[str]) -> str:
    """Return the next line of an agent."""
    assert process.stdout is not None
    line = process.stdout.readline().rstrip("\n")
    assert line, process.communicate()
    return line


def told(process: subprocess.Popen[str]) -> Any:
    """Return the next command of an agent: name, key, value."""
    return json.loads(heard(process))


def test_agents_obey_and_the_log_says_who(control: Control) -> None:
    """For all, for one, refused, an agent that takes none, and one that comes later."""
    first, second, deaf = control.agent("a-1"), control.agent("a-2"), control.agent("deaf", "no")

    answer = control.command("control set", "lr=0.001", "unknown=x", "--wait", "60")
    assert "set lr=0.001: a-1 done, a-2 done" in answer
    assert 'set unknown="x": a-1 refused (there is no such value), a-2 refused' in answer
    assert "take no commands, as their recorders have no control=True: deaf" in answer
    for agent in (first, second):
        assert [told(agent), told(agent)] == [["set", "lr", 0.001], ["set", "unknown", "x"]]

    assert "checkpoint: a-2 done (/models/7)" in control.command("control checkpoint", "--agent", "a-2", "--wait", "60")
    assert told(second) == ["checkpoint", "", None]
    assert "pause: a-1 done, a-2 done" in control.command("control pause", "--wait", "60")
    assert (told(first), told(second)) == (["pause", "", None], ["pause", "", None])

    later = control.agent("a-3")
    assert sorted(map(str, (told(later), told(later), told(later)))) == sorted(
        map(str, (["set", "lr", 0.001], ["set", "unknown", "x"], ["pause", "", None]))
    )

    assert "stop: a-1 done, a-2 done, a-3 done" in control.command("control stop", "--wait", "60")
    for agent in (first, second, later):
        assert told(agent)[0] == "stop"
        assert agent.wait(30) == 0
        assert agent.communicate()[1] == ""

    listed = json.loads(control.command("control ls", "--json"))
    assert [(one["command"], one["agent"], len(one["answers"])) for one in listed] == [
        ("set", "", 3),
        ("set", "", 3),
        ("checkpoint", "a-2", 1),
        ("pause", "", 3),
        ("stop", "", 3),
    ]
    shown = {row["agent_id"]: row for row in json.loads(control.command("run show", "--json"))}
    assert [text.rpartition(" ")[0].rpartition(" ")[0] for text in shown["a-2"]["commands"]] == [
        "set lr=0.001 done",
        'set unknown="x" refused',
        "checkpoint done",
        "pause done",
        "stop done",
    ]
    assert shown["deaf"]["commands"] == []
    assert (shown["a-1"]["outcome"], shown["deaf"]["outcome"]) == ("completed", "running")
    deaf.kill()


def test_an_agent_that_dies_has_not_obeyed(control: Control) -> None:
    """SIGKILL behind a command: who waits is told, and the agent's next attempt does not get an old `stop`."""
    agent = control.agent("a-1")
    agent.send_signal(signal.SIGSTOP)
    answer = control.command("control stop", "--wait", "1", code=1)
    assert "stop: a-1 not yet" in answer
    agent.kill()
    again = control.agent("a-1")
    assert "checkpoint: a-1 done" in control.command("control checkpoint", "--wait", "60")
    assert told(again)[0] == "checkpoint"


def test_nobody_who_listens_is_said(control: Control) -> None:
    """The command is in the log all the same: `pause` and `set` are for those who begin later too."""
    answer = control.command("control pause", "--wait", "1", code=1)
    assert f"no agent of run '{control.run}' that runs now takes commands" in answer
    assert told(control.agent("late"))[0] == "pause"


def test_a_recorder_that_joins_repeats_nothing_for_the_others(kafka_settings: KafkaSettings) -> None:
    """The commands of a process are read from the start again for it: who has taken them gets none twice."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    taken: dict[str, list[str]] = {"first": [], "second": []}

    def ask(name: CommandName) -> None:
        send(kafka_settings, Codec(), [make_command("r", "", name)])

    def take(agent: str, recorder: Recorder) -> int:
        taken[agent] += [command.name for command in recorder.commands()]
        return len(taken[agent])

    bus = RunBus()
    with Recorder("r", "first", bus=bus, settings=kafka_settings, control=True) as first:
        ask("pause")
        until("it comes while the first listens", lambda: take("first", first) == 1)
        ask("checkpoint")
        until("the next one too", lambda: take("first", first) == 2)
        with Recorder("r", "second", bus=bus, settings=kafka_settings, control=True) as second:
            until("the second learns what holds", lambda: take("second", second) == 1)
            ask("stop")
            until("both hear of it", lambda: take("second", second) == 2 and take("first", first) >= 3)
    assert taken == {"first": ["pause", "checkpoint", "stop"], "second": ["pause", "stop"]}
