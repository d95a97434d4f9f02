"""Golden values: the bytes of one record of each schema in both framings, committed in golden_values.json.

A difference is a change of the wire format. Old values stay in the log for weeks: change the file only together with a
new version of the schema, and keep the old lines.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbus.schemas import batch as step_batch
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import NO_SEED, BatchHeader, Extra, StepBatch, StepColumns
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, Heartbeat, LiveMetrics, RunEvent, Window
from runbus.schemas.layout import encode_value, layout_of, pack

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "golden_values.json").read_text(encoding="utf-8"))
FRAMINGS = ("single-object", "confluent")
STRUCTS = [{"position": np.array([n, -0.5], "<f4"), "note": f"größe {n}"} for n in range(3)]
RUN: dict[str, Any] = {"run_id": "ppo-ä", "agent_id": "agent 0", "attempt": 1_732_377_600_000_000}


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


def _events() -> dict[str, Any]:
    window = Window(
        name="reward", seconds=60, start=1, count=2, sum=3.5, sum_squares=4.0, min=-1.0, max=2.0, quantiles=b"\x00\x01"
    )
    return {
        "RunEvent": RunEvent(
            **RUN, kind="FINISHED", sent_at=2, started_at=1, config='{"lr":0.1}', observation_space="{}", produced=259,
            dropped=4, episodes=2, outcome="failed", error="ValueError: ä", summary='{"loss":1}', host="h", pid=7,
            version="0.1.0",
        ),
        "EpisodeFinalized": EpisodeFinalized(
            **RUN, id="f00", revision=2, env=1, episode=3, reason="abandoned", complete=False, missing_from=[4],
            missing_to=[9], return_=-1.5, length=12, first_seq=0, last_seq=20, first_ts=1, last_ts=2, min_reward=-1.0,
            max_reward=0.5, extras_sum={"loss": 2.0},
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
    }  # fmt: skip


def _body(name: str) -> bytes:
    return step_batch.encode(_batch()) if name == "StepBatch" else _events()[name].encode()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ["StepBatch", *_events()])
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


def test_the_committed_batch_is_still_read() -> None:
    """A batch written by an earlier build decodes to the same columns, layouts and values."""
    writer, body = Codec().open(bytes.fromhex(GOLDEN["StepBatch single-object"]), "StepBatch")
    found, expected = step_batch.decode(body, writer), _batch()
    assert found.header == expected.header == step_batch.decode_header(body, writer)
    assert (found.action, found.observation, found.info) == (expected.action, expected.observation, expected.info)
    assert found.columns.seed is not None
    assert found.columns.seed.tolist() == [NO_SEED, NO_SEED, 42]
    assert found.columns.reward.tolist() == [0.1, -np.inf, 0.0]
    assert found.extras[0].values.tolist() == [0.25, 1e300]
