"""Values damaged in every way there is, among good ones: each is stored as its bytes say, or it is a dead letter."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import schema
from runbus.schemas.batch import Extra, Label, StepBatch, decode, encode
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.layout import VARIABLE, Layout, pack
from tests.fuzz.rows import step_rows
from tests.integration.clickhouse.conftest import body, step_batch
from tests.integration.clickhouse.test_clickhouse_lying_records import LIES
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, make_batch
from tests.integration.sink.test_sink_poison import read_all
from tests.integration.sink.watching import Group, Standing
from tests.support.waiting import until

pytestmark = pytest.mark.integration

GOOD = 8  # steps of a good batch
FLIPS = 400
PARTITION = 2
Row = tuple[Any, ...]


@dataclass
class Mixture:
    """Suspicious values of one partition, each between two good batches."""

    feed: Feed
    values: list[bytes]

    def produce(self) -> None:
        """Write all of it: good batches at the even offsets, the values at the odd ones."""
        for number, value in enumerate(self.values):
            good = self.feed.value(make_batch(self.feed.run, "good", number * GOOD, GOOD))
            self.feed.send("steps", b"key", good, partition=PARTITION)
            self.feed.send("steps", b"key", value, partition=PARTITION)
        self.feed.produced["good"] = len(self.values) * GOOD
        self.feed.flush()

    def store(self, sinks: Sinks, tables: Tables) -> None:
        """Run a sink, one that minds no number of dead letters, until it is through."""
        process = sinks.start(dead_letter_share="1", dead_letter_run="0")
        through, group = Standing(2 * len(self.values), -1), Group(self.feed)
        until("everything is committed", lambda: group.committed().get(PARTITION) == through)
        group.close()
        assert sinks.stop(process) == 0
        tables.check(self.feed)

    def letters(self) -> dict[int, tuple[bytes, str]]:
        """Return index of a value -> the bytes and the error of its dead letter; each is there once."""
        found: dict[int, tuple[bytes, str]] = {}
        for message in read_all(self.feed, "dead-letters"):
            headers = {name: _text(text) for name, text in dict(message.headers() or {}).items()}
            value = message.value()
            assert isinstance(value, bytes)
            assert headers["partition"] == str(PARTITION)
            offset = int(headers["offset"])
            assert offset % 2 == 1, f"the good batch at {offset} is a dead letter: {headers['error']}"
            assert offset // 2 not in found
            found[offset // 2] = value, headers["error"]
        return found

    def rows(self, tables: Tables) -> dict[int, list[Row]]:
        """Return index of a value -> the rows that it became, in order."""
        query = (
            "SELECT intDiv(kafka_offset, 2), run_id, agent_id, attempt, seq, env, episode, step, tick, "
            "toUnixTimestamp64Micro(ts), reinterpretAsUInt64(reward), terminated, truncated, seed, "
            "arraySort(arrayMap((k, v) -> (k, reinterpretAsUInt64(v)), mapKeys(extras), mapValues(extras))), info, "
            "action_dtype, action_shape, hex(action_raw), observation_dtype, observation_shape, hex(observation_raw), "
            "dropped, toUnixTimestamp64Micro(sent_at), kind, status, parent, seed_text, stop, "
            "arraySort(arrayZip(mapKeys(labels), mapValues(labels))), "
            "arraySort(arrayMap((k, v) -> (k, arrayMap(x -> reinterpretAsUInt64(x), v)), mapKeys(extras_all), "
            "mapValues(extras_all))) FROM steps "
            "WHERE kafka_partition = {partition:Int32} AND kafka_offset % 2 = 1 "
            "AND kafka_topic_id = (SELECT any(kafka_topic_id) FROM steps WHERE run_id = {run:String}) "
            "ORDER BY kafka_offset, seq"
        )
        parameters = {"partition": PARTITION, "run": self.feed.run}
        found: dict[int, list[Row]] = {}
        for number, *row in tables.client.query(query, parameters=parameters).result_rows:
            found.setdefault(number, []).append(tuple(row))
        return found


def _text(value: bytes | str | None) -> str:
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value)


def written(batch: StepBatch) -> list[Row]:
    """Return the rows that a batch says it is, bit for bit, in the order of `Mixture.rows`."""
    names = (
        *("run_id", "agent_id", "attempt", "seq", "env", "episode", "step", "tick", "ts", "reward", "terminated"),
        *("truncated", "seed", "extras", "info", "action_dtype", "action_shape", "action_raw", "observation_dtype"),
        *(
            "observation_shape",
            "observation_raw",
            "dropped",
            "sent_at",
            "kind",
            "status",
            "parent",
            "seed_text",
            "stop",
        ),
        *("labels", "extras_all"),
    )
    rows = step_rows(encode(batch))
    for row in rows:
        row |= {name: row[name].upper() for name in ("action_raw", "observation_raw")}
    return [tuple(row[name] for name in names) for row in rows]


def sample(run: str) -> StepBatch:
    """Return a batch with something in every column: numbers, a text, ticks, seeds, extras, info, words."""
    batch = make_batch(run, "flipped", 0, 3)
    text = Layout("text", (), VARIABLE)
    return replace(
        batch,
        header=replace(batch.header, action=text),
        columns=replace(
            batch.columns,
            tick=np.arange(3, dtype="<i8"),
            seed=np.array([7, -(2**63), 9], "<i8"),
            absent=np.array([0, 1, 2], "u1"),
            kind=np.array([0, 2, 3], "u1"),
            status=np.array([0, 1, 3], "u1"),
            parent=np.array([-1, 0, 1], "<i8"),
        ),
        action=pack(text, [b"left", b"", "höher".encode()]),
        extras=(Extra("loss", np.array([0, 2, 2], "<u4"), np.array([0.5, np.nan, 1.0])), Extra("lr", *_one(1, 1e-3))),
        info=("{}", '{"a": 1}', ""),
        large_seeds=("", str(2**128), ""),
        labels=(Label("task", np.array([0], "<u4"), ("größe",)), Label("split", np.array([0, 2], "<u4"), ("a", ""))),
        stop=("", "", "max_turns"),
    )


def _one(row: int, value: float) -> tuple[Any, Any]:
    return np.array([row], "<u4"), np.array([value])


@pytest.mark.parametrize("seed", [1])
def test_each_flipped_bit_is_a_row_or_a_dead_letter(feed: Feed, sinks: Sinks, tables: Tables, seed: int) -> None:
    """One bit of a good value is another: it is stored as its own bytes say, or set apart, and its neighbours stay."""
    value = feed.value(sample("another run"))
    flips = random.Random(seed).sample(range(8 * len(value)), FLIPS)
    mixture = Mixture(feed, [_flipped(value, bit) for bit in flips])
    mixture.produce()
    mixture.store(sinks, tables)
    rows, letters = mixture.rows(tables), mixture.letters()
    assert len(rows) > FLIPS // 2
    assert len(letters) > FLIPS // 20
    for number, (bit, flipped) in enumerate(zip(flips, mixture.values, strict=True)):
        batch = _decoded(flipped)
        if number in letters:
            assert letters[number][0] == flipped, bit
            assert number not in rows, f"bit {bit} is stored, and a dead letter: {letters[number][1]}"
            assert batch is None, f"bit {bit} is a dead letter, and decodes: {letters[number][1]}"
        else:
            assert batch is not None, f"bit {bit} is stored, and does not decode"
            assert rows[number] == written(batch), bit


def _flipped(value: bytes, bit: int) -> bytes:
    damaged = bytearray(value)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def _decoded(value: bytes) -> StepBatch | None:
    try:
        writer, found = Codec().open(value, "StepBatch")
        return decode(found, writer)
    except (InvalidValue, UnknownSchema):
        return None


def test_a_record_that_contradicts_itself_is_a_dead_letter(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Columns of different lengths, extras, info and layouts that contradict their header: all of them, one by one."""
    lies = [body("StepBatch", step_batch("another run", 3) | lie) for _, lie in LIES.values()]
    mixture = Mixture(feed, [Codec().frame("steps", schema("StepBatch"), lie) for lie in lies])
    mixture.produce()
    mixture.store(sinks, tables)
    letters = mixture.letters()
    assert mixture.rows(tables) == {}
    assert {number: value for number, (value, _) in letters.items()} == dict(enumerate(mixture.values))
    assert all(error for _, error in letters.values())


def test_numbers_that_are_none_are_no_poison(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """NaN with any payload, infinities, -0.0 and denormals are stored bit for bit: rewards, extras, observations."""
    special = [np.nan, -np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308]
    payloads = [0x7FF0000000000001, 0xFFF8DEADBEEF0000, 0x7FFFFFFFFFFFFFFF]
    numbers = np.concatenate([np.array(special), np.array(payloads, "<u8").view("<f8")])
    count = len(numbers)
    batch = make_batch("another run", "special", 0, count)
    wide = Layout("<f8", (1,), 8)
    batch = replace(
        batch,
        header=replace(batch.header, observation=wide),
        columns=replace(batch.columns, reward=numbers),
        observation=numbers.tobytes(),
        extras=(Extra("x", np.arange(count, dtype="<u4"), numbers),),
    )
    mixture = Mixture(feed, [feed.value(batch)])
    mixture.produce()
    mixture.store(sinks, tables)
    assert mixture.rows(tables) == {0: written(batch)}
    assert mixture.letters() == {}
