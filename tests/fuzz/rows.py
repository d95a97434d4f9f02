"""What a value means as rows: the decoder's answer, in the form in which ClickHouse gives its own."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from runbus.schemas.avsc import AvroSchema
from runbus.schemas.batch import (
    ABSENT_ACTION,
    ABSENT_OBSERVATION,
    KINDS,
    NO_PARENT,
    NO_SEED,
    NO_TICK,
    STATUSES,
    StepBatch,
    decode,
)
from runbus.schemas.events import Event
from runbus.schemas.layout import ABSENT, OMITTED, VARIABLE, Layout, unpack

Row = dict[str, Any]

#: column of `steps` -> expression that reads it back without loss; texts as hex, because they may be any bytes
STEPS: dict[str, str] = {
    **{
        name: name
        for name in ("run_id", "agent_id", "attempt", "seq", "env", "episode", "step", "tick", "seed", "info")
    },
    **{name: name for name in ("kind", "status", "parent", "seed_text", "stop")},
    **{name: name for name in ("dropped", "action_dtype", "action_shape", "observation_dtype", "observation_shape")},
    **{name: f"toUInt8({name})" for name in ("terminated", "truncated")},
    **{name: f"toUnixTimestamp64Micro({name})" for name in ("ts", "sent_at")},
    **{name: f"lower(hex({name}))" for name in ("action_raw", "observation_raw")},
    "reward": "reinterpretAsUInt64(reward)",
    "extras": "arraySort(arrayMap((k, v) -> (k, reinterpretAsUInt64(v)), mapKeys(extras), mapValues(extras)))",
    "extras_all": (
        "arraySort(arrayMap((k, v) -> (k, arrayMap(x -> reinterpretAsUInt64(x), v)), mapKeys(extras_all), "
        "mapValues(extras_all)))"
    ),
    "labels": "arraySort(arrayZip(mapKeys(labels), mapValues(labels)))",
}


def bits(number: float) -> int:
    """Return a double as the integer of the same bits: NaN payloads and the sign of zero count."""
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


def step_rows(body: bytes, writer: AvroSchema | None = None) -> list[Row]:
    """Return the rows of `steps` that a StepBatch body means. Raises InvalidValue."""
    batch = decode(body, writer)
    h, columns = batch.header, batch.columns
    actions = unpack(h.action, batch.action, h.count)
    observations = unpack(h.observation, batch.observation, h.count)
    extras = numbers_by_row(batch)
    labels: list[dict[str, str]] = [{} for _ in range(h.count)]
    for label in batch.labels:
        for row, text in zip(label.rows.tolist(), label.values, strict=True):
            labels[row][label.name] = text
    shared = {"run_id": h.run_id, "agent_id": h.agent_id, "attempt": h.attempt, "dropped": h.dropped}
    shared["sent_at"] = h.sent_at
    rows = []
    for i in range(h.count):
        step = int(columns.step[i])
        seed = _cell(columns.seed, i, NO_SEED)
        large = batch.large_seeds[i] if batch.large_seeds else ""
        absent = _cell(columns.absent, i, 0)
        # the zero bytes of a reset's action only keep the width of the column
        action = b"" if step == 0 and not actions[i].strip(b"\0") else actions[i]
        rows.append(
            shared
            | {name: int(getattr(columns, name)[i]) for name in ("env", "episode", "ts", "terminated", "truncated")}
            | _value("action", h.action, action, absent=bool(absent & ABSENT_ACTION))
            | _value("observation", h.observation, observations[i], absent=bool(absent & ABSENT_OBSERVATION))
            | {
                "seq": h.first_seq + i,
                "step": step,
                "tick": _cell(columns.tick, i, NO_TICK),
                "seed": None if seed == NO_SEED else seed,
                "seed_text": large or ("" if seed == NO_SEED else str(seed)),
                "kind": _word(KINDS, _cell(columns.kind, i, 0)),
                "status": _word(STATUSES, _cell(columns.status, i, 0)),
                "parent": _cell(columns.parent, i, NO_PARENT),
                "stop": batch.stop[i] if batch.stop else "",
                "reward": int(columns.reward.view("<u8")[i]),
                "info": batch.info[i] if batch.info else "",
                "extras": [(name, values[-1]) for name, values in sorted(extras[i].items())],
                "extras_all": sorted(extras[i].items()),
                "labels": sorted(labels[i].items()),
            }
        )
    return rows


def numbers_by_row(batch: StepBatch) -> list[dict[str, list[int]]]:
    """Return the extras of each row: the bits of every value, in order, by name."""
    found: list[dict[str, list[int]]] = [{} for _ in range(batch.header.count)]
    for extra in batch.extras:
        for row, value in zip(extra.rows.tolist(), extra.values, strict=True):
            found[row].setdefault(extra.name, []).append(bits(value))
    return found


def _cell(column: Any, row: int, none: int) -> int:
    return none if column is None else int(column[row])


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if number < len(words) else str(number)


def _value(name: str, layout: Layout, raw: bytes, *, absent: bool) -> Row:
    """Return the three columns of an action or an observation."""
    dtype, shape, raw = layout.dtype, list(layout.shape), b"" if absent else raw
    if absent:
        dtype = ABSENT + dtype.removeprefix(OMITTED)
    if shape[:1] == [VARIABLE]:
        shape[0] = len(raw) // layout.item_bytes if layout.recorded else 0
    return {f"{name}_dtype": dtype, f"{name}_shape": shape, f"{name}_raw": raw.hex()}


# --- events ---------------------------------------------------------------------------------------------------

_TIMES = frozenset({"sent_at", "started_at", "first_ts", "last_ts"})
_BITS = {"extras_sum": "reinterpretAsUInt64(v)", "logged": "arrayMap(x -> reinterpretAsUInt64(x), v)"}
_RANGES = {"missing_from": "missing.first", "missing_to": "missing.last"}


def event_columns(event: Event) -> dict[str, str]:
    """Return column -> expression for the table of an event, as STEPS is for `steps`."""
    columns = {}
    for field in dataclasses.fields(event):  # type: ignore[arg-type]  # every event is a dataclass
        name, value = field.name.rstrip("_"), getattr(event, field.name)
        columns[name] = _RANGES.get(name, f"`{name}`")
        if name in _TIMES:
            columns[name] = f"toUnixTimestamp64Micro({name})"
        elif isinstance(value, bool):
            columns[name] = f"toUInt8({name})"
        elif isinstance(value, float):
            columns[name] = f"reinterpretAsUInt64(`{name}`)"
        elif isinstance(value, dict):
            bits_of = _BITS.get(name, "v")
            columns[name] = f"arraySort(arrayMap((k, v) -> (k, {bits_of}), mapKeys({name}), mapValues({name})))"
    return columns


def event_row(event: Event) -> Row:
    """Return the row that an event means."""
    return {
        field.name.rstrip("_"): _plain(getattr(event, field.name))
        for field in dataclasses.fields(event)  # type: ignore[arg-type]  # as above
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return bits(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return sorted((key, _plain(item)) for key, item in value.items())
    return int(value) if isinstance(value, bool) else value
