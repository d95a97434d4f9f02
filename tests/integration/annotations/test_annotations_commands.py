"""Notes, tags and pins from the command to the log, the tables and the readers, and off again."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from runbus.annotations import Place, current_annotations, note, pin, remove, tag
from runbus.clickhouse.tables import ANNOTATIONS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.reader import Annotation, Reader
from tests.integration.audit.audit_setup import AuditSetup
from tests.integration.sink.conftest import feed, migrated, sinks, tables
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment

pytestmark = pytest.mark.integration
__all__ = ["feed", "migrated", "sinks", "tables"]

PAGE = (Path(__file__).parents[3] / "docs" / "annotations.md").read_text(encoding="utf-8")
HOLDS = """
    SELECT agent_id, env, episode, step, kind, name, text, author FROM annotations_latest
    WHERE run_id = {run:String} ORDER BY kafka_offset
"""


class Commands:
    """`runbus annotate` about one run, as a person types it."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.run = f"run-{uuid.uuid4().hex[:8]}"
        self._env, self._folder = env, folder

    def __call__(self, name: str, *arguments: str, code: int = 0) -> str:
        """Run one; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "runbus.cli", "annotate", name, self.run, *arguments],
            env={**os.environ, **self._env},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def listed(self) -> list[dict[str, Any]]:
        """Return what `ls` says holds."""
        found: list[dict[str, Any]] = json.loads(self("ls", "--json"))
        return found


def test_what_is_said_is_stored_once_and_what_is_removed_holds_no_more(
    feed: Feed, sinks: Sinks, tables: Tables, migrated: ClickHouseSettings, tmp_path: Path
) -> None:
    """By command and by function: in the list, in SQL and for readers, and every offset of the topic has its row."""
    command = Commands(environment(feed.settings, migrated), tmp_path)
    run, settings = command.run, feed.settings
    setup = AuditSetup(feed, sinks, tables, migrated)
    with setup.sink():
        assert command("note", "the loss is flat", "--agent", "w", "--episode", "7", "--step", "0").startswith(
            "agent w episode 7 step 0: note "
        )
        command("tag", "good", "odd/one")
        command("tag", "good")
        assert command("pin") == "run: pin\n"
        note(Place(run, agent="w"), "first", name="mine", author="judge", settings=settings)
        note(Place(run, agent="w"), "second", name="mine", author="judge", settings=settings)
        assert command("rm", "tag", "odd/one", "no-such").splitlines() == [
            "run: tag odd/one removed",
            f"runbus: tag no-such is not on run: `runbus annotate ls {run}` shows what is",
        ]
        pin(run, settings=settings)
        remove(run, "pin", settings=settings)
        tag("another", "good", settings=settings)

    listed = command.listed()
    (first,) = [one["name"] for one in listed if one["text"] == "the loss is flat"]
    who = listed[0]["author"]
    assert "@" in who
    expected = [
        ("w", 0, 7, 0, "note", first, "the loss is flat", who),
        ("", -1, -1, -1, "tag", "good", "", who),
        ("w", -1, -1, -1, "note", "mine", "second", "judge"),
    ]
    names = ("agent_id", "env", "episode", "step", "kind", "name", "text", "author")
    assert [tuple(one[name] for name in names) for one in listed] == expected
    assert tables.client.query(HOLDS, parameters={"run": run}).result_rows == expected
    assert [(a.run_id, a.name) for a in current_annotations(settings=settings) if a.run_id != run] == [
        ("another", "good")
    ]

    with Reader(topics="annotations", run=run, start="beginning", settings=settings) as reader:
        seen = [event for _ in range(12) if isinstance(event := reader.poll(30), Annotation)]
        assert reader.poll(0.5) is None
    assert [(event.kind, event.author != "") for event in seen if event.removed] == [
        ("tag", True), ("tag", False), ("pin", True), ("pin", False)
    ]  # fmt: skip

    result, findings = setup.audit(ANNOTATIONS)
    assert [(r.verdict.name, r.offsets, r.rows) for _, _, _, r in findings] == [("STORED", 13, 13)], result
    history = "SELECT count(), countIf(removed), countIf(author = '') FROM annotations WHERE run_id = {run:String}"
    assert tables.client.query(history, parameters={"run": run}).result_rows == [(12, 4, 2)]


def test_a_bad_place_is_one_sentence(feed: Feed, migrated: ClickHouseSettings, tmp_path: Path) -> None:
    """Nothing is sent."""
    command = Commands(environment(feed.settings, migrated), tmp_path)
    said = command("pin", "--step", "3", code=2)
    assert "an env or a step is of an episode: say which (--episode, episode=)" in said
    assert command.listed() == []


def test_the_examples_of_the_page_run(
    feed: Feed, migrated: ClickHouseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands one after the other, then the program."""
    commands, program = (
        re.search(rf"^```{word}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for word in ("bash", "python")
    )
    assert commands
    assert program
    command = Commands(environment(feed.settings, migrated), tmp_path)
    command.run = "ppo-cartpole"
    for line in commands[1].splitlines():
        runbus, annotate, name, run, *arguments = shlex.split(line)
        assert (runbus, annotate, run) == ("runbus", "annotate", command.run)
        command(name, *arguments)
    for name, value in environment(feed.settings, migrated).items():
        monkeypatch.setenv(name, value)
    exec(compile(program[1], "annotations.md", "exec"), {"__name__": "snippet"})
    held = [(a.agent_id, a.kind, a.text or a.name) for a in current_annotations("ppo-cartpole", settings=feed.settings)]
    assert held == [
        ("worker-0", "note", "the loss is flat from here"),
        ("", "tag", "good"),
        ("", "note", "reward hacking?"),
        ("worker-0", "tag", "look-at-this"),
    ]
