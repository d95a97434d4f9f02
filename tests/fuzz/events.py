"""Bodies of runs, episodes and heartbeats: good ones, lying ones, damaged ones. All from one seed."""

from __future__ import annotations

import random
from typing import Any

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import schema
from runbus.schemas.events import Annotation, ControlCommand, EpisodeFinalized, Event, Heartbeat, LiveMetrics, RunEvent
from runbus.schemas.record import read_record, write_record
from tests.fuzz.damage import NUMBERS, TEXTS, damaged

KINDS: tuple[type[Event], ...] = (RunEvent, EpisodeFinalized, Heartbeat, LiveMetrics, ControlCommand, Annotation)
_OF_A_STREAM: dict[str, Any] = {"run_id": "run", "agent_id": "agent", "attempt": 1}
GOOD: dict[str, Event] = {
    "RunEvent": RunEvent(
        **_OF_A_STREAM, kind="STARTED", sent_at=2, started_at=1, config='{"lr":0.1}', pid=7,
        labels={"team": "größe", "": ""}, tags=["a", "ä"], parent="run/planner/1", parent_seq=7,
        logged={"loss": [0.5, -0.0], "none": []}, commands='[{"id": "c"}]',
    ),
    "ControlCommand": ControlCommand(
        id="c", run_id="run", agent="", command="set", key="größe", value="0.5", sent_at=1, sent_by="me@here",
    ),
    "Annotation": Annotation(
        run_id="run", agent_id="agent", attempt=1, env=0, episode=3, step=7, kind="note", name="5c1a", text="größe/\n",
        author="me@here", sent_at=9,
    ),
    "EpisodeFinalized": EpisodeFinalized(
        **_OF_A_STREAM, id="e-0", revision=1, env=0, episode=3, reason="truncated", complete=False, missing_from=[3, 8],
        missing_to=[4, 8], return_=1.5, length=9, first_seq=0, last_seq=9, first_ts=1_000_000, last_ts=2_000_000,
        min_reward=float("-inf"), max_reward=1.0, extras_sum={"loss": 0.5, "ä": -1.0},
        labels={"task": "sort", "ä": ""}, stop="max_turns", has_reset=False,
    ),
    "Heartbeat": Heartbeat(
        component_id="sink-0", kind="sink", sent_at=9, started_at=1, version="0", total_events=5, lag_ms=3,
        last_seq_id={"runbus.steps:0": 17, "runbus.steps:1": 4}, committed={"runbus.steps:0": 16},
    ),
    "LiveMetrics": LiveMetrics(
        **_OF_A_STREAM, sent_at=3, newest_ts=2, steps=4, steps_per_second=5.0, episodes=6, last_return=1.0,
        running_return=0.5, last_length=9, running_length=3, dropped=0, reasons={"terminated": 1}, positions={"0": 17},
    ),
}  # fmt: skip


class Events:
    """A source of bodies of one kind of event.

    Args:
        kind: the class.
        seed: the same seed gives the same bodies.
    """

    def __init__(self, kind: type[Event], seed: int) -> None:
        self.kind = kind
        self.dice = random.Random(seed)
        self._schema = schema(kind.SCHEMA)

    def body(self) -> bytes:
        """Return the body of a good event."""
        return GOOD[self.kind.SCHEMA].encode()

    def mutated(self) -> bytes:
        """Return a body with a lie, with damage, or with both; it may still be a good one."""
        how = self.dice.random()
        if how < 0.4:
            return self.lying()
        return damaged(self.dice, self.body() if how < 0.9 else self.lying(), self.body)

    def lying(self) -> bytes:
        """Return a well-formed record of which one or two fields are others."""
        record = read_record(self.body(), self._schema, self._schema)
        for _ in range(self.dice.choice([1, 1, 2])):
            name = self.dice.choice(list(record))
            record[name] = self._lie(name, record[name])
        try:
            return write_record(self._schema, record)
        except InvalidValue:  # a number or a symbol that Avro cannot write: the next one
            return self.lying()

    def _lie(self, name: str, value: Any) -> Any:
        dice = self.dice
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return dice.choice(NUMBERS)
        if isinstance(value, float):
            return dice.choice([float("nan"), float("inf"), -0.0, 1e308, -1.5])
        if isinstance(value, str):
            return dice.choice([*TEXTS, "FINISHED"] if name == "kind" else [*TEXTS, "abandoned"])
        if name == "tags":
            return dice.choice([[], [""], [*TEXTS], ["a"] * 3])
        if isinstance(value, list):
            return dice.choice([[], [1], [1, 2], [1, 2, 3], [2**63 - 1, -(2**63)]]) if name != "windows" else []
        one = next(iter(value.values()))
        return dice.choice([{}, {"": one}, {"é": one, "b": one}, dict.fromkeys(TEXTS, one)])
