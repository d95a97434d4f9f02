"""`runbus ingest` refuses what cannot be meant, says what was done, and keeps pace with Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runbus.cli.ingest import _AHEAD_BYTES, _AHEAD_ROWS, _check, _sentences, _summarise, _summary, _Target, _WithCommand
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.sources import Sources
from runbus.ingest.acts import Begin, LeftOut, Step, Unknown, Who
from runbus.ingest.letters import KafkaLetters
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.settings import CourierSettings
from tests.support.ingested import Ingested

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
WHO = Who("r", "a")


@pytest.mark.parametrize(
    ("format_", "files", "command", "run", "words"),
    [
        ("nothing", [], None, "", "there is no format 'nothing': take one of mosaic, verifiers"),
        ("mosaic", ["no-such-file"], None, "", "there is no no-such-file"),
        ("mosaic", ["x"], ["true"], "", "name files, or a command behind --: not both"),
        ("mosaic", [], [], "", "there is no command behind --"),
        ("minari", [], None, "", "minari is a format of whole files: name them"),
        ("minari", [], ["true"], "", "minari is a format of whole files: name them"),
        ("mosaic", [], None, "a/b", "a/b"),
    ],
)
def test_wrong_usage_is_one_sentence(format_: str, files: list[str], command: Any, run: str, words: str) -> None:
    """It says what to do."""
    with pytest.raises(ConfigError, match=words):
        _check(format_, list(map(Path, files)), command, run, "agent-0")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [(["x"], None), (["x", "--"], []), (["x", "--", "a", "-b", "--", "--c"], ["a", "-b", "--", "--c"])],
)
def test_what_stands_behind_the_first_dashes_is_the_workers(arguments: list[str], command: list[str] | None) -> None:
    """Options of it too."""
    app, found = typer.Typer(), list[Any]()

    @app.command(cls=_WithCommand)
    def run(context: typer.Context, names: list[str]) -> None:
        found.extend((names, context.meta["runbus.ingest.command"]))

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert found == [["x"], command]


class Flushed(Ingested):
    """Recordings that are flushed, or not."""

    def __init__(self, *, delivered: bool) -> None:
        super().__init__()
        self.flushed: list[int] = []

        def flush(_timeout: float) -> bool:
            self.flushed.append(self.made.steps)
            return delivered

        self.recordings.flush = flush  # type: ignore[method-assign, assignment]


def target(found: Ingested) -> _Target:
    """Return a target that records on a bus."""
    return _Target(found.recordings, KafkaLetters(KAFKA, "r"), CourierSettings.load(Sources({}), KAFKA))


@pytest.mark.parametrize(("size", "rows"), [(0, _AHEAD_ROWS), (_AHEAD_BYTES // 10, 10)])
def test_a_file_waits_for_kafka(size: int, rows: int) -> None:
    """After so many rows, or bytes; no earlier, and each time anew."""
    found = Flushed(delivered=True)
    pace = target(found)
    found.recordings.take(Begin(who=WHO))
    for _ in range(2 * rows + 2):
        found.recordings.take(Step(who=WHO))
        pace.keep_pace(size + 1)
    assert found.flushed == pytest.approx([rows, 2 * rows], abs=2)
    found.close()


def test_a_broker_that_takes_nothing_ends_the_reading() -> None:
    """With one sentence."""
    with pytest.raises(RunBusError, match=r"Kafka at 127\.0\.0\.1:1 has not taken what was read"):
        target(Flushed(delivered=False)).keep_pace(_AHEAD_BYTES)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"dropped": 3, "undelivered": 1}, "^4 rows are not in Kafka"),
        ({"letters_undelivered": 2}, "^2 dead letters are not in Kafka"),
        ({"undelivered": 1000, "letters_undelivered": 2}, "^1,000 rows and 2 dead letters are not in Kafka"),
    ],
)
def test_what_kafka_does_not_have_is_an_error(lost: dict[str, int], words: str) -> None:
    """Behind the summary."""
    found, said = Ingested(), list[str]()
    with pytest.raises(RunBusError, match=words):
        _summarise({**_summary(target(found), None), **lost}, as_json=False, print_line=said.append)
    assert said == ["0 steps in 0 episodes of 0 streams, 0 metrics, 0 scores, 0 artifacts"]
    found.close()


def test_the_summary_says_what_is_not_recorded() -> None:
    """And why; kinds are sorted by their names."""
    found = Ingested()
    for act in (
        Begin(who=WHO),
        Step(who=WHO),
        LeftOut("frames", 1000),
        LeftOut("frames", 500),
        Unknown("b"),
        Unknown("a"),
    ):
        found.recordings.take(act)
    said = list(_sentences({**_summary(target(found), None), "lines": 7, "documents": 6, "malformed": 1}))
    assert said == [
        "1 steps in 1 episodes of 1 streams, 0 metrics, 0 scores, 0 artifacts",
        "read: 7 lines, 6 documents",
        "not recorded: 1 lines that could not be used, or not all of them",
        "not recorded: 2 frames, 1,500 bytes (--frames)",
        "kinds, not known: a 1, b 1",
    ]
    found.close()
