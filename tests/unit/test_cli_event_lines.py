"""Events as lines: exact as JSON, and readable without anything that a terminal acts on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runbus.cli.event_lines import documents, json_line, readable_line, time_of
from runbus.reader import LogEvent, MetricValues, RecordsDeleted, Steps, Unreadable
from runbus.reader.events import Annotation, At, EpisodeFinalized, LiveMetrics, RunFinished, RunStarted
from runbus.schemas.batch import BatchHeader, StepBatch
from runbus.schemas.layout import Layout, layout_of
from runbus.schemas.metric_batch import NO_POSITION, artifact_text
from tests.support.batches import step_columns
from tests.unit.batches import make_batch
from tests.unit.test_schemas_metric_batch import make_batch as make_metrics

AT = At("runbus.steps", 1, 7, 1_790_000_000_000, b"run/agent")
US = 1_790_000_000_123_456
WHO: dict[str, Any] = {"run_id": "run", "agent_id": "agent", "attempt": US}


def _lines(event: LogEvent) -> list[str]:
    return [readable_line(document) for document in documents(event)]


def test_a_step_says_what_it_has_and_no_more() -> None:
    """Numbers of any dtype, an action that a reset has not, logged numbers, labels, seeds."""
    seq = np.arange(2)
    columns = step_columns(seq, US + seq, reward=np.array([0.0, 0.1 + 0.2]), terminated=np.array([0, 1], "u1"))
    action, observation = layout_of(np.int64(0)), Layout("<f4", (2,), 8)
    header = BatchHeader("run", "agent", US, 0, 2, 0, US, action, observation)
    values = np.array([[0.1, np.nan], [1e9, -np.inf]], "<f4")
    steps = Steps(AT, StepBatch(header, columns, seq.astype("<i8").tobytes(), values.tobytes()), gap=(3, 5))
    missing, reset, step = documents(steps)
    assert (missing["event"], missing["first_seq"], missing["last_seq"]) == ("missing", 3, 5)
    assert "action" not in reset
    assert step["action"] == 1
    assert json.loads(json_line(step))["reward"] == 0.1 + 0.2
    assert json.loads(json_line(reset))["observation"] == [float(np.float32(0.1)), "nan"]
    assert json.loads(json_line(step))["observation"] == [1e9, "-inf"]
    assert readable_line(step) == (
        "2026-09-21 14:13:20.123  run/agent  seq 1  episode 0 step 1  reward 0.3  action 1  observation [1e+09 -inf]  "
        "terminated\n"
    )
    assert readable_line(reset).endswith("episode 0 reset  observation [0.1 nan]\n")
    assert readable_line(missing) == "run/agent  seq 3 to 5 missing\n"


def test_a_metric_and_a_score_say_what_they_have_and_no_more() -> None:
    """Name, position and number of the one; what it is about, and in which words, of the other."""
    batch = make_metrics(3)
    batch = replace(batch, columns=replace(batch.columns, at=np.array([5, NO_POSITION, NO_POSITION])))
    first, second, score = list(documents(MetricValues(AT, batch, gap=(8, 9))))[1:]
    assert (first["event"], first["axis"], first["at"], second["value"]) == ("metric", "global_step", 5, 0.0)
    assert json.loads(json_line(first))["value"] == "nan"
    assert "at" not in second
    assert "agent_id" not in second
    assert readable_line(first).endswith("run/learner-0  global_step 5  metric loss nan\n")
    assert readable_line(score).endswith("score loss 1  of agent_id agent-0, episode 4  good\n")


def test_an_artifact_says_what_it_is_and_where() -> None:
    """Its type, its size and the rest as it was said; a kind of a later version is called by its number."""
    batch = make_metrics(3)
    words = artifact_text("a.pt", "s3://a.pt", 1, "5f")
    columns = replace(batch.columns, kind=np.array([0, 2, 9], "u1"))
    _, artifact, later = documents(MetricValues(AT, replace(batch, columns=columns, text=("", words, ""))))
    assert (artifact["event"], artifact["name"], later["event"]) == ("artifact", "reward", "value of kind 9")
    assert "artifact reward 0" in readable_line(artifact)
    assert "s3://a.pt" in readable_line(artifact)


def test_words_of_all_kinds_are_there() -> None:
    """Whatever a batch may hold: each value stands at its step."""
    batch = make_batch(3)
    made = list(
        documents(Steps(AT, replace(batch, observation=b"", header=replace(batch.header, observation=Layout()))))
    )
    assert [one["info"] for one in made] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert made[0]["logged"] == {"loss": [0.5]}
    assert made[1]["seed"] == -(2**64)
    assert [one.get("kind") for one in made] == [None, "env", "model"]
    assert all(json.loads(json_line(one)) for one in made)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202egnp", "\r", "\x00"])
def test_nothing_that_was_recorded_acts_on_a_terminal(text: str) -> None:
    """One line, whatever a name, a config or an error says; colours are ours alone."""
    started = RunStarted(at=AT, **{**WHO, "kind": "STARTED", "sent_at": US, "started_at": US, "config": text})
    ended = RunFinished(at=AT, **{**WHO, "kind": "FINISHED", "sent_at": US, "started_at": US, "error": text})
    for event in (started, ended, Unreadable(AT, b"", text)):
        (line,) = _lines(event)
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        (coloured,) = [readable_line(document, coloured=True) for document in documents(event)]
        assert text not in coloured
        assert "\x1b[" in coloured


def test_other_events() -> None:
    """Episodes, live metrics, deleted records: their own words, and all of their fields as JSON."""
    episode = EpisodeFinalized(
        at=AT, **WHO, id="e", revision=2, env=1, episode=3, reason="abandoned", complete=False, missing_from=[4],
        missing_to=[6], return_=1.5, length=10, first_seq=0, last_seq=12, first_ts=US, last_ts=US, min_reward=0.0,
        max_reward=1.0,
    )  # fmt: skip
    live = LiveMetrics(
        at=AT, **WHO, sent_at=US, newest_ts=US, steps=1234, steps_per_second=56.7, episodes=8, last_return=9.5,
        running_return=0.0, last_length=1, running_length=0, dropped=0, reasons={}, positions={},
    )  # fmt: skip
    (line,) = _lines(episode)
    assert "env 1 episode 3 finalised: abandoned  return 1.5, length 10  revision 2  incomplete 4-6" in line
    (line,) = _lines(live)
    assert "1,234 steps, 57/s  8 episodes, last return 9.5" in line
    (document,) = documents(episode)
    assert (document["event"], document["return"], time_of(document)) == ("episode_finalized", 1.5, US)
    assert "at" not in document
    (line,) = _lines(RecordsDeleted(AT, 3, 6))
    assert line == "runbus.steps:1 3-6 deleted\n"
    far = {"event": "step", **WHO, "seq": 0, "env": 0, "episode": 0, "step": 0, "ts": 2**62, "terminated": False}
    assert readable_line({**far, "truncated": False}).startswith(f"{2**62} us")


def test_an_annotation_says_what_it_is_on_and_by_whom() -> None:
    """Of a run, of a step, and removed; a note is cut like every text."""
    who: dict[str, Any] = {"run_id": "run", "agent_id": "agent"}
    said: dict[str, Any] = {"at": AT, "author": "me@here", "sent_at": US}
    lines = [
        Annotation(run_id="run", kind="pin", **said),
        Annotation(**who, env=2, episode=3, step=0, kind="note", name="5c", text="odd", **said),
        Annotation(run_id="run", kind="tag", name="best", removed=True, **said),
    ]
    day = "2026-09-21 14:13:20.123  "
    assert [line for event in lines for line in _lines(event)] == [
        f"{day}run  pin  by me@here\n",
        f"{day}run/agent  env 2 episode 3 step 0  note 5c  odd  by me@here\n",
        f"{day}run  tag best removed  by me@here\n",
    ]
