"""Shows events of the log as lines: a readable one for people, or one JSON object.

One document is made of each step and each other event; a readable line is made from its document, so both say the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import numpy as np

from runbus.cli.output import plain
from runbus.config.terminal import printable
from runbus.reader import (
    Annotation,
    EpisodeFinalized,
    Heartbeat,
    LiveMetrics,
    LogEvent,
    MetricValues,
    RecordsDeleted,
    RunFinished,
    RunStarted,
    Steps,
    Unreadable,
)
from runbus.schemas.metric_batch import NO_ATTEMPT, NO_POSITION, NONE, VALUE_KINDS

Document = dict[str, Any]
_NAMES: Mapping[type[LogEvent], str] = {
    RunStarted: "run_started",
    RunFinished: "run_finished",
    EpisodeFinalized: "episode_finalized",
    LiveMetrics: "live_metrics",
    Heartbeat: "heartbeat",
    Annotation: "annotation",
}
_MOST_ITEMS = 8  # of an array
_MOST_TEXT = 80  # characters of a value
#: part of a line -> the number of its colour
_COLOURS = {"time": 2, "who": 36, "what": 1, "bad": 31}


def documents(event: LogEvent) -> Iterator[Document]:
    """Yield what an event says, as JSON has it: of steps one document each, with what the step has and no more."""
    match event:
        case Steps():
            yield from _steps(event)
        case MetricValues():
            yield from _values(event)
        case Unreadable():
            yield {"event": "unreadable", **_place(event), "reason": event.reason}
        case RecordsDeleted():
            yield {"event": "records_deleted", **_place(event), "first": event.first, "last": event.last}
        case _:
            told = {f.name.rstrip("_"): getattr(event, f.name) for f in fields(event) if f.name != "at"}  # type: ignore[arg-type]
            yield {"event": _NAMES.get(type(event), type(event).__name__), **{k: _value(v) for k, v in told.items()}}


def time_of(document: Document) -> int:
    """Return when it was, microseconds since the epoch; 0 = it does not say."""
    return int(document.get("ts") or document.get("last_ts") or document.get("sent_at") or 0)


def json_line(document: Document) -> str:
    """Return a document on one line; JSON has no NaN and no infinities, so they are strings."""
    return json.dumps(plain(document), allow_nan=False, ensure_ascii=False, separators=(",", ":")) + "\n"


def readable_line(document: Document, *, coloured: bool = False) -> str:
    """Return a document as people read it: one line, in which nothing that was recorded can act on a terminal."""
    parts = [(kind, printable(text)) for kind, text in _parts(document) if text]
    if coloured:
        parts = [(kind, f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if kind in _COLOURS else text) for kind, text in parts]
    return "  ".join(text for _, text in parts) + "\n"


# --- metrics ------------------------------------------------------------------------------------------------------


def _values(event: MetricValues) -> Iterator[Document]:
    """Yield a document a value, with what it has and no more."""
    whose = {"run_id": event.run_id, "source": event.source, "attempt": event.attempt}
    if event.gap is not None:
        yield {"event": "missing", **whose, "first_seq": event.gap[0], "last_seq": event.gap[1]}
    batch, columns = event.batch, event.columns
    rows = zip(columns.name, event.ts, event.kind, event.position, event.has_value, event.value, strict=True)
    for row, (number, ts, kind, at, has_value, value) in enumerate(rows):
        name, axis = event.names[number]
        document: Document = {"event": _kind_of_value(kind), **whose, "seq": event.first_seq + row}
        document |= {"ts": int(ts), "name": name}
        if axis:
            document["axis"] = axis
        if at != NO_POSITION:
            document["at"] = int(at)
        if has_value:
            document["value"] = float(value)
        for part in ("env", "episode", "step", "step_seq"):
            column = getattr(columns, part)
            if column is not None and column[row] != NONE:
                document[part] = int(column[row])
        if columns.agent_attempt is not None and columns.agent_attempt[row] != NO_ATTEMPT:
            document["agent_attempt"] = int(columns.agent_attempt[row])
        said = (("agent_id", batch.agent), ("judge", batch.judge), ("label", batch.label), ("text", batch.text))
        yield document | {part: texts[row] for part, texts in said if texts and texts[row]}


def _kind_of_value(kind: int) -> str:
    return VALUE_KINDS[kind] if kind < len(VALUE_KINDS) else f"value of kind {kind}"


# --- steps --------------------------------------------------------------------------------------------------------


def _steps(event: Steps) -> Iterator[Document]:
    whose = {"run_id": event.run_id, "agent_id": event.agent_id, "attempt": event.attempt}
    if event.gap is not None:
        yield {"event": "missing", **whose, "first_seq": event.gap[0], "last_seq": event.gap[1]}
    columns = event.columns
    numbers = zip(
        *(c.tolist() for c in (columns.env, columns.episode, columns.step, columns.ts, columns.reward)),
        event.terminated.tolist(),
        event.truncated.tolist(),
        strict=True,
    )
    optional = _optional(event)
    for row, (env, episode, step, ts, reward, terminated, truncated) in enumerate(numbers):
        document = {
            "event": "step",
            **whose,
            "seq": event.first_seq + row,
            "env": env,
            "episode": episode,
            "step": step,
            "ts": ts,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        for name, values in optional.items():
            if (value := values.get(row)) is not None:
                document[name] = value
        yield document


def _optional(event: Steps) -> dict[str, Mapping[int, Any]]:
    """Return name -> row -> value of what only some steps have."""
    found: dict[str, Mapping[int, Any]] = {
        "action": _recorded(event.action, event.has_action),
        "observation": _recorded(event.observation, event.has_observation),
    }
    for name in ("kind", "status", "stop", "info"):
        found[name] = {row: text for row, text in enumerate(getattr(event, name)) if text}
    found["info"] = {row: _json(text) for row, text in found["info"].items()}
    columns = event.columns
    for name, column, none in (("tick", columns.tick, -1), ("parent", columns.parent, -1)):
        found[name] = {} if column is None else {i: v for i, v in enumerate(column.tolist()) if v != none}
    found["seed"] = event.seeds
    logged: dict[int, dict[str, list[float]]] = {}
    for name, (rows, values) in event.logged.items():
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            logged.setdefault(row, {}).setdefault(name, []).append(value)
    found["logged"] = logged
    labels: dict[int, dict[str, str]] = {}
    for name, texts in event.labels.items():
        for row, text in texts.items():
            labels.setdefault(row, {})[name] = text
    found["labels"] = labels
    return found


def _recorded(column: Any, there: np.typing.NDArray[np.bool_]) -> dict[int, Any]:  # noqa: ANN401 - any column
    if column is None:
        return {}
    return {row: _value(_row(column, row)) for row in np.flatnonzero(there).tolist()}


def _row(column: Any, row: int) -> Any:  # noqa: ANN401 - any column
    if isinstance(column, Mapping):
        return {key: None if part is None else _row(part, row) for key, part in column.items()}
    if isinstance(column, tuple):
        return [None if part is None else _row(part, row) for part in column]
    return column[row]


def _value(value: Any) -> Any:  # noqa: ANN401 - any value of an event
    """Return a value as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): _value(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _value(getattr(value, f.name)) for f in fields(value)}
    return value


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError:
        return text


def _place(event: LogEvent) -> Document:
    return {"topic": event.at.topic, "partition": event.at.partition, "offset": event.at.offset}


# --- readable -----------------------------------------------------------------------------------------------------


def _parts(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the parts of a line: what kind each is, and its text."""
    at_us = time_of(document)
    if at_us:
        yield "time", _time(at_us)
    if "run_id" in document:
        source = document.get("source") or document["agent_id"]
        yield "who", "/".join(filter(None, (document["run_id"], source)))
    yield from _PARTS_OF.get(document["event"], _other_parts)(document)


def _step_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "", f"seq {document['seq']}"
    env = f"env {document['env']} " if document["env"] else ""
    yield "what", f"{env}episode {document['episode']} " + (f"step {document['step']}" if document["step"] else "reset")
    if document["step"]:
        yield "", f"reward {document['reward']:g}"
    for name in ("kind", "status"):
        yield "", str(document.get(name, ""))
    for name in ("action", "observation", "seed", "labels", "info"):
        if name in document:
            yield "", f"{name} {_short(document[name])}"
    for name, values in document.get("logged", {}).items():
        yield "", f"{name}={values[-1]:g}"
    yield "what", " ".join(word for word in ("terminated", "truncated") if document[word])
    yield "", str(document.get("stop", ""))


def _value_parts(document: Document) -> Iterator[tuple[str, str]]:
    if "at" in document:
        yield "", f"{document.get('axis') or 'at'} {document['at']}"
    number = f" {document['value']:g}" if "value" in document else ""
    yield "what", f"{document['event']} {_short(document['name'])}{number}"
    parts = ("agent_id", "env", "episode", "step", "step_seq")
    about = [f"{part} {document[part]}" for part in parts if part in document]
    yield "", f"of {', '.join(about)}" if about else ""
    yield "", f"by {_short(document['judge'])}" if "judge" in document else ""
    yield "what", _short(document.get("label", ""))
    yield "", _short(document.get("text", ""))


def _episode_parts(document: Document) -> Iterator[tuple[str, str]]:
    env = f"env {document['env']} " if document["env"] else ""
    yield "what", f"{env}episode {document['episode']} finalised: {document['reason']}"
    yield "", f"return {document['return']:g}, length {document['length']:,}"
    if document["revision"] > 1:
        yield "", f"revision {document['revision']}"
    if not document["complete"]:
        gaps = zip(document["missing_from"], document["missing_to"], strict=True)
        yield "bad", "incomplete " + ", ".join(f"{first}-{last}" for first, last in gaps)


def _missing_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "bad", f"seq {document['first_seq']} to {document['last_seq']} missing"


def _start_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "what", "started"
    yield "", f"attempt {document['attempt']}"
    yield "", f"config {_short(document['config'])}"


def _end_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "what", f"ended: {document['outcome']}"
    yield "", f"{document['produced']:,} steps, {document['dropped']:,} dropped, {document['episodes']:,} episodes"
    yield "bad", _short(document["error"])


def _annotation_parts(document: Document) -> Iterator[tuple[str, str]]:
    numbers = {"env": 1, "episode": 0, "step": 0}  # below that nothing is said: the first environment is the usual one
    yield "", " ".join(f"{name} {document[name]}" for name, least in numbers.items() if document[name] >= least)
    said = (document["kind"], document["name"], "removed" if document["removed"] else "")
    yield "what", " ".join(filter(None, said))
    yield "", _short(document["text"])
    yield "", f"by {document['author']}" if document["author"] else ""


def _live_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "what", f"{document['steps']:,} steps, {document['steps_per_second']:,.0f}/s"
    yield "", f"{document['episodes']:,} episodes, last return {document['last_return']:g}"


def _heartbeat_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "who", document["component_id"]
    yield "what", f"{document['total_events']:,} events, lag {document['lag_events']:,}"


def _unreadable_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "bad", f"{document['topic']}:{document['partition']}:{document['offset']} cannot be read"
    yield "", _short(document["reason"])


def _deleted_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "bad", f"{document['topic']}:{document['partition']} {document['first']}-{document['last']} deleted"


def _other_parts(document: Document) -> Iterator[tuple[str, str]]:
    yield "what", str(document["event"])


#: what an event is called -> the parts of its line
_PARTS_OF: Mapping[str, Callable[[Document], Iterator[tuple[str, str]]]] = {
    "step": _step_parts,
    "metric": _value_parts,
    "score": _value_parts,
    "artifact": _value_parts,
    "missing": _missing_parts,
    "run_started": _start_parts,
    "run_finished": _end_parts,
    "episode_finalized": _episode_parts,
    "live_metrics": _live_parts,
    "heartbeat": _heartbeat_parts,
    "annotation": _annotation_parts,
    "unreadable": _unreadable_parts,
    "records_deleted": _deleted_parts,
}


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a value of a line, cut to what one can take in."""
    text = value if isinstance(value, str) else _numbers(value)
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 3]}..."


def _numbers(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        more = [f"... {len(value):,} in all"] if len(value) > _MOST_ITEMS else []
        return "[" + " ".join([*map(_numbers, value[:_MOST_ITEMS]), *more]) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_numbers(part)}" for key, part in value.items()) + "}"
    return str(value)


def _time(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (OverflowError, ValueError, OSError):  # an agent's clock may say anything
        return f"{at_us} us"
