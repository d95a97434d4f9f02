"""What a value means as rows: the decoder's answer, in the form in which ClickHouse gives its own."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from runbus.schemas.avsc import AvroSchema
from runbus.schemas.batch import NO_SEED, NO_TICK, decode
from runbus.schemas.events import Event
from runbus.schemas.layout import unpack

Row = dict[str, Any]

#: column of `steps` -> expression that reads it back without loss; texts as hex, because they may be any bytes
STEPS: dict[str, str] = {
    **{
        name: name
        for name in ("run_id", "agent_id", "attempt", "seq", "env", "episode", "step", "tick", "seed", "info")
    },
    **{name: name for name in ("dropped", "action_dtype", "action_shape", "observation_dtype", "observation_shape")},
    **{name: f"toUInt8({name})" for name in ("terminated", "truncated")},
    **{name: f"toUnixTimestamp64Micro({name})" for name in ("ts", "sent_at")},
    **{name: f"lower(hex({name}))" for name in ("action_raw", "observation_raw")},
    "reward": "reinterpretAsUInt64(reward)",
    "extras": "arraySort(arrayMap((k, v) -> (k, reinterpretAsUInt64(v)), mapKeys(extras), mapValues(extras)))",
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
    extras: list[dict[str, int]] = [{} for _ in range(h.count)]
    for extra in batch.extras:
        for row, value in zip(extra.rows.tolist(), extra.values, strict=True):
            extras[row][extra.name] = bits(value)
    shared = {"run_id": h.run_id, "agent_id": h.agent_id, "attempt": h.attempt, "dropped": h.dropped}
    shared |= {"sent_at": h.sent_at, "action_dtype": h.action.dtype, "action_shape": list(h.action.shape)}
    shared |= {"observation_dtype": h.observation.dtype, "observation_shape": list(h.observation.shape)}
    rows = []
    for i in range(h.count):
        step = int(columns.step[i])
        seed = None if columns.seed is None else int(columns.seed[i])
        rows.append(
            shared
            | {name: int(getattr(columns, name)[i]) for name in ("env", "episode", "ts", "terminated", "truncated")}
            | {
                "seq": h.first_seq + i,
                "step": step,
                "tick": NO_TICK if columns.tick is None else int(columns.tick[i]),
                "seed": None if seed == NO_SEED else seed,
                "reward": int(columns.reward.view("<u8")[i]),
                "info": batch.info[i] if batch.info else "",
                # the zero bytes of a reset's action only keep the width of the column
                "action_raw": "" if step == 0 and not actions[i].strip(b"\0") else actions[i].hex(),
                "observation_raw": observations[i].hex(),
                "extras": sorted(extras[i].items()),
            }
        )
    return rows


# --- events ---------------------------------------------------------------------------------------------------

_TIMES = frozenset({"sent_at", "started_at", "first_ts", "last_ts"})
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
            bits_of = "reinterpretAsUInt64(v)" if name == "extras_sum" else "v"
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
    if isinstance(value, dict):
        return sorted((key, _plain(item)) for key, item in value.items())
    return int(value) if isinstance(value, bool) else value
