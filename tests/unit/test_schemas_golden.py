"""Golden values: the bytes of one record of each schema in both framings, committed in golden_values.json.

`StepBatch.1 ...` is what version 1 wrote, `RunEvent.2 ...` what version 2 wrote; the lines without a number are of the
current version. A difference is a change of the wire format. Old values stay in the log for weeks: change the file only
together with a new version of the schema, and keep the old lines.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbus.schemas import batch as step_batch
from runbus.schemas import metric_batch
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import NO_SEED, BatchHeader, Extra, Label, StepBatch, StepColumns
from runbus.schemas.codec import Codec
from runbus.schemas.events import (
    Annotation,
    ControlCommand,
    EpisodeFinalized,
    Heartbeat,
    LiveMetrics,
    RunEvent,
    Window,
)
from runbus.schemas.layout import encode_value, layout_of, pack
from runbus.schemas.metric_batch import NO_POSITION, MetricBatch, MetricColumns, MetricHeader
from tests.unit.batches import assert_equal

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "golden_values.json").read_text(encoding="utf-8"))
FRAMINGS = ("single-object", "confluent")
STRUCTS = [{"position": np.array([n, -0.5], "<f4"), "note": f"größe {n}"} for n in range(3)]
RUN: dict[str, Any] = {"run_id": "ppo-ä", "agent_id": "agent 0", "attempt": 1_732_377_600_000_000}
#: what each version behind the first added
ADDED: dict[str, tuple[dict[str, Any], ...]] = {
    "RunEvent": (
        {
            "labels": {"team": "größe"},
            "tags": ["a"],
            "parent": "ppo-ä/planner/1",
            "parent_seq": 7,
            "logged": {"loss": [0.25, -np.inf]},
        },
        {"commands": '[{"id": "c"}]'},
        {"role": "metrics", "metrics": 12, "metrics_dropped": 3},
    ),
    "EpisodeFinalized": ({"labels": {"task": "sort"}, "stop": "max_turns", "has_reset": False},),
}
OLDER = [(name, version) for name, added in ADDED.items() for version in range(1, len(added) + 1)]


class _OneId:
    def id_of(self, topic: str, schema: AvroSchema) -> int:  # noqa: ARG002 - the same for all
        return 0x00ABCDEF

    def schema(self, schema_id: int) -> AvroSchema:
        raise NotImplementedError


def _batch() -> StepBatch:
    action, observation = layout_of(np.int64(1)), layout_of(STRUCTS[0])
    header = BatchHeader(
        "ppo-ä", "agent 0", 1_732_377_600_000_000, 256, 3, 4, 1_732_377_600_123_456, action, observation
    )
    columns = StepColumns(
        env=np.array([0, 1, 0], "<i4"),
        episode=np.array([0, 2**40, 1], "<i8"),
        step=np.array([1, 2, 0], "<i4"),
        tick=np.array([5, 6, 7], "<i8"),
        ts=np.array([1, 2, 3], "<i8") + 1_732_377_600_000_000,
        reward=np.array([0.1, -np.inf, 0.0], "<f8"),
        terminated=np.array([0, 1, 0], "|u1"),
        truncated=np.array([1, 0, 0], "|u1"),
        seed=np.array([NO_SEED, NO_SEED, 42], "<i8"),
    )
    extras = (Extra("loss", np.array([0, 2], "<u4"), np.array([0.25, 1e300])),)
    actions = pack(action, [encode_value(action, np.int64(n)) for n in (1, -1)] + [b""])
    observations = pack(observation, [encode_value(observation, value) for value in STRUCTS])
    return StepBatch(header, columns, actions, observations, extras, ('{"n":1}', "", "{}"))


def _newer_batch() -> StepBatch:
    """Return the same batch with all that version 2 added."""
    columns = replace(
        _batch().columns,
        absent=np.array([0, 1, 3], "|u1"),
        kind=np.array([2, 3, 0], "|u1"),
        status=np.array([1, 3, 0], "|u1"),
        parent=np.array([-1, 256, -1], "<i8"),
    )
    labels = (Label("task", np.array([2], "<u4"), ("größe",)),)
    extras = (Extra("loss", np.array([0, 0], "<u4"), np.array([0.25, 1e300])),)
    seeds = ("", "", str(2**128 - 1))
    return replace(
        _batch(), columns=columns, extras=extras, labels=labels, large_seeds=seeds, stop=("", "max_turns", "")
    )


def _events(version: int = 99) -> dict[str, Any]:
    """Return an event of each kind, with what was added up to this version."""
    window = Window(
        name="reward", seconds=60, start=1, count=2, sum=3.5, sum_squares=4.0, min=-1.0, max=2.0, quantiles=b"\x00\x01"
    )
    more = {
        name: {key: value for one in added[: version - 1] for key, value in one.items()}
        for name, added in ADDED.items()
    }
    return {
        "RunEvent": RunEvent(
            **RUN, kind="FINISHED", sent_at=2, started_at=1, config='{"lr":0.1}', observation_space="{}", produced=259,
            dropped=4, episodes=2, outcome="failed", error="ValueError: ä", summary='{"loss":1}', host="h", pid=7,
            version="0.1.0", **more["RunEvent"],
        ),
        "EpisodeFinalized": EpisodeFinalized(
            **RUN, id="f00", revision=2, env=1, episode=3, reason="abandoned", complete=False, missing_from=[4],
            missing_to=[9], return_=-1.5, length=12, first_seq=0, last_seq=20, first_ts=1, last_ts=2, min_reward=-1.0,
            max_reward=0.5, extras_sum={"loss": 2.0}, **more["EpisodeFinalized"],
        ),
        "LiveMetrics": LiveMetrics(
            **RUN, sent_at=3, newest_ts=2, steps=259, steps_per_second=12.5, episodes=2, last_return=1.0,
            running_return=0.5, last_length=9, running_length=3, dropped=4, reasons={"terminated": 1},
            positions={"0": 17}, windows=(window,),
        ),
        "Heartbeat": Heartbeat(
            component_id="sink-0", kind="sink", sent_at=9, started_at=1, version="0.1.0", total_events=5, lag_ms=3,
            last_seq_id={"runbus.steps:0": 17}, committed={"runbus.steps:0": 16}, detail='{"x":1}',
        ),
        "ControlCommand": ControlCommand(
            id="7f", run_id="ppo-ä", agent="", command="set", key="größe", value="0.5", sent_at=9, sent_by="me@h",
        ),
        "Annotation": Annotation(
            run_id="ppo-ä", agent_id="agent 0", env=0, episode=3, kind="note", name="5c1a", text="größe", author="me@h",
            sent_at=9,
        ),
    }  # fmt: skip


def _metrics() -> MetricBatch:
    return MetricBatch(
        MetricHeader("ppo-ä", "learner 0", 1_732_377_600_000_000, 256, 2, 4, 1_732_377_600_123_456),
        MetricColumns(
            name=np.array([1, 0], "<u2"),
            at=np.array([NO_POSITION, 2**40]),
            ts=np.array([1, 2]) + 1_732_377_600_000_000,
            value=np.array([np.nan, 0.1]),
            kind=np.array([1, 0], "|u1"),
            absent=np.array([1, 0], "|u1"),
            agent_attempt=np.array([7, 0]),
            env=np.array([3, -1], "<i4"),
            episode=np.array([4, -1]),
            step=np.array([5, -1], "<i4"),
            step_seq=np.array([6, -1]),
        ),
        ("loss", "größe"),
        ("global_step", ""),
        agent=("agent 0", ""),
        judge=("Ada", ""),
        label=("good", ""),
        text=("because", ""),
    )


def _body(name: str) -> bytes:
    match name:
        case "StepBatch":
            return step_batch.encode(_newer_batch())
        case "MetricBatch":
            return metric_batch.encode(_metrics())
    return bytes(_events()[name].encode())


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ["StepBatch", "MetricBatch", *_events()])
def test_the_bytes_on_the_wire_do_not_change(name: str, framing: str) -> None:
    """Writing the same record gives the committed bytes."""
    codec = Codec(_OneId() if framing == "confluent" else None)
    value = codec.frame("topic", schema(name), _body(name))
    assert value.hex() == GOLDEN[f"{name} {framing}"], f"the wire format of {name} changed; see the head of this file"


@pytest.mark.parametrize("name", list(_events()))
def test_committed_events_are_still_read(name: str) -> None:
    """A value written by an earlier build decodes to the same event."""
    writer, body = Codec().open(bytes.fromhex(GOLDEN[f"{name} single-object"]), name)
    event = _events()[name]
    assert type(event).decode(body, writer) == event


@pytest.mark.parametrize(("name", "version"), OLDER)
def test_committed_events_of_older_versions_are_still_read(name: str, version: int) -> None:
    """They decode to the same event without what later versions added."""
    writer, body = Codec().open(bytes.fromhex(GOLDEN[f"{name}.{version} single-object"]), name)
    event = _events(version)[name]
    assert type(event).decode(body, writer) == event


@pytest.mark.parametrize(("version", "expected"), [("", _newer_batch()), (".1", _batch())])
def test_the_committed_batch_is_still_read(version: str, expected: StepBatch) -> None:
    """A batch written by an earlier build decodes to the same columns, layouts and values."""
    writer, body = Codec().open(bytes.fromhex(GOLDEN[f"StepBatch{version} single-object"]), "StepBatch")
    found = step_batch.decode(body, writer)
    assert_equal(found, expected)
    assert found.header == step_batch.decode_header(body, writer)
