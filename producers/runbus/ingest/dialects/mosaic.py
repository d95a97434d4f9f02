"""Reads what MOSAIC's workers print and write: six formats, told apart line by line (docs/ingest.md).

Trainer, operator and older workers say what they do in `type`, the lifecycle in `event`; the files of language models
and of sessions say nothing, and are known by their names or fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Literal

from runbus.ingest.acts import (
    Act,
    Begin,
    Defaults,
    Ended,
    LeftOut,
    Numbers,
    Passed,
    Place,
    Restarted,
    Started,
    Step,
    Unknown,
    Who,
    Wrote,
)
from runbus.ingest.documents import Malformed
from runbus.ingest.values import (
    apart,
    flag,
    id_of,
    inner_json,
    mapping,
    nanoseconds_us,
    text_of,
    time_us,
    whole,
    without,
)
from runbus.recorder.absent import ABSENT
from runbus.schemas.events import Outcome

_EPISODE_KINDS = frozenset(["episode", "episode_done", "episode_end"])
_LIFECYCLE: Mapping[str, tuple[Outcome, str]] = {
    "run_completed": ("completed", ""),
    "run_failed": ("failed", "the worker says run_failed"),
    "run_cancelled": ("interrupted", "cancelled"),
}
#: kinds that say how the conversation with a worker goes, and nothing of an episode
_TALK = frozenset(
    [
        "init", "action", "action_selected", "agent_ready", "agent_initialized", "waiting_for_human", "input_cancelled",
        "stopped", "pong", "heartbeat", "observation",
    ]
)  # fmt: skip
_FRAMES = ("render_payload", "render_payload_json", "render")
_LABELS = ("policy_label", "backend", "env_name", "task", "game_id", "model_id")
_BEFORE_ACTION = ("llm_response", "llm_input_tokens", "llm_output_tokens")
_SAID_ONCE = frozenset(["type", "event_type", "event", "run_id", "agent_id", "episode_id", "reward", "terminated",
                        "truncated", "episode_seed", "info", *_FRAMES])  # fmt: skip
_EPISODE_ID = re.compile(r"-ep(\d{1,18})$")


@dataclass(slots=True)
class _Life:
    """How far an agent has come in its episodes.

    Attributes:
        episode: number of the episode, as the worker says it; None = it has said none.
        number: of its last step, likewise.
        running: the episode has begun and not ended.
        held: a step whose observation is that of the next line.
        seed, labels: for the next episode, said before it began.
    """

    episode: int | None = None
    number: int | None = None
    running: bool = False
    held: dict[str, Any] | None = None
    seed: int | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Mosaic:
    """The dialect `mosaic`; see acts.Dialect."""

    unended: Outcome = "interrupted"

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._lives: dict[Who, _Life] = {}

    def take(self, document: Mapping[str, Any], place: Place, /) -> Iterator[Act]:
        """Return what a line stands for."""
        kind = kind_of(document, place.source)
        if kind == "step":
            yield from self._step(document, place)
        elif kind in _EPISODE_KINDS:
            yield from self._episode(document)
        elif kind == "ready":
            self._ready(document)
            yield Passed(kind)
        elif kind == "error":
            yield Numbers(who=self._who(document), values={"worker/error": _message(document)}, at_us=_time(document))
        elif kind in _TALK:
            yield Passed(kind)
        else:
            yield from self._lifecycle(kind, document)

    def end(self) -> Iterator[Act]:
        """Let go of what waits for its next line; episodes without a number end with their file."""
        for who, life in self._lives.items():
            yield from _released(who, life, ABSENT)
            if life.episode is None:
                life.running, life.number = False, None

    def _lifecycle(self, kind: str, document: Mapping[str, Any]) -> Iterator[Act]:
        run = id_of(document.get("run_id")) or self._defaults.run
        payload = mapping(document.get("payload"), "payload")
        if kind == "run_started":
            yield Started(run=run, config=dict(payload))
        elif kind in _LIFECYCLE:
            outcome, error = _LIFECYCLE[kind]
            for who in [one for one in self._lives if one.run == run]:
                yield from _released(who, self._lives.pop(who), ABSENT)
            yield Ended(run=run, outcome=outcome, error=text_of(payload.get("error")) or error)
        elif kind in ("checkpoint_saved", "checkpoint_loaded"):
            yield from self._checkpoint(kind, document, payload)
        else:
            yield Unknown(kind)

    def _checkpoint(self, kind: str, document: Mapping[str, Any], payload: Mapping[str, Any]) -> Iterator[Act]:
        names = ("path", "checkpoint_path", "uri", "file")
        path = next((text for name in names if (text := text_of(payload.get(name)))), "")
        if kind == "checkpoint_loaded" or not path:
            yield Passed(kind)
            return
        step = next((n for name in ("step", "global_step") if (n := whole(payload.get(name))) is not None), None)
        yield Wrote(who=self._who(document), path=path, type="checkpoint", step=step, at_us=_time(document))

    def _ready(self, document: Mapping[str, Any]) -> None:
        life = self._life(self._who(document))
        life.seed = whole(document.get("seed"))
        if env := text_of(document.get("env_id") or document.get("env")):
            life.labels["env"] = env

    def _episode(self, document: Mapping[str, Any]) -> Iterator[Act]:
        """Keep what a worker says of an episode: it ends none, as some say it before the last step."""
        who, said = self._who(document), _metadata(document)
        fields = {**said, **without(document, "type", "event_type", "event", "run_id", "agent_id", "metadata",
                                    "metadata_json", "ts_unix_ns", "timestamp", *_FRAMES)}  # fmt: skip
        values = {f"reported/{name}": value for name, value in fields.items() if isinstance(value, (str, int, float))}
        number = _episode_number(document, said)
        if number is None and (count := whole(document.get("episode_number"))) is not None:
            number = count - 1
        if number is None and who in self._lives:
            number = self._lives[who].episode
        yield Numbers(who=who, values=values, step=number, axis="episode", at_us=_time(document))

    def _step(self, document: Mapping[str, Any], place: Place) -> Iterator[Act]:
        who, said = self._who(document), _metadata(document)
        life = self._life(who)
        episode = _episode_number(document, said)
        number = whole(document.get("step_index", document.get("step")))
        frame, left_out = self._frame(document)
        yield from left_out
        before, after = _observations(document)
        held = _step_fields(who, document, said, frame)  # from here on nothing is wrong with the line
        where = _where(life, episode, number)
        if where != "goes on":
            yield from _released(who, life, ABSENT)
            if where == "restarts":
                yield Restarted(who=who)
            yield _begin(who, life, document, said, before, episode, place)
        else:
            yield from _released(who, life, before)
        life.episode, life.number = episode if episode is not None else life.episode, number
        life.running = not (held["terminated"] or held["truncated"])
        if before is ABSENT or after is not ABSENT or not life.running:
            yield Step(**held, observation=after)
        else:
            life.held = held

    def _who(self, document: Mapping[str, Any]) -> Who:
        return Who(
            id_of(document.get("run_id")) or self._defaults.run,
            id_of(document.get("agent_id")) or self._defaults.agent,
        )

    def _life(self, who: Who) -> _Life:
        return self._lives.setdefault(who, _Life())

    def _frame(self, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[LeftOut]]:
        """Return what is kept of pictures, and what is not."""
        found = {name: document[name] for name in _FRAMES if document.get(name) is not None}
        if not found or self._defaults.frames == "keep":
            return {name: inner_json(value) for name, value in found.items()}, []
        texts = {name: _compact(value) for name, value in found.items()}
        if self._defaults.frames == "ref":
            return {
                name: {"bytes": len(text), "sha256": sha256(text).hexdigest(), **_size_of(found[name])}
                for name, text in texts.items()
            }, []
        return {}, [LeftOut("frames", len(text)) for text in texts.values()]


def kind_of(document: Mapping[str, Any], source: str) -> str:
    """Return what a line is: by `type`, `event_type`, `event`, the name of its file, or its fields, in this order."""
    for name in ("type", "event_type", "event"):
        if isinstance(word := document.get(name), str) and word:
            return word.lower()
    file = PurePath(source).name
    if file.endswith("_episodes.jsonl"):
        return "episode"
    if file.endswith("_steps.jsonl") or file == "episode.jsonl":
        return "step"
    if "num_steps" in document or ("total_reward" in document and "step_index" not in document):
        return "episode"
    if "step_index" in document or ("reward" in document and ("action" in document or "observation" in document)):
        return "step"
    return "(none)"


def _where(life: _Life, episode: int | None, number: int | None) -> Literal["begins", "goes on", "restarts"]:
    """Return whether a step is of the episode that runs, of a new one, or of a worker that began again."""
    repeated = number is not None and life.number is not None and number <= life.number
    if episode is None or life.episode is None:
        return "goes on" if life.running and not repeated else "begins"
    if episode != life.episode:
        return "begins" if episode > life.episode else "restarts"
    if life.running:
        return "restarts" if repeated else "goes on"
    return "restarts" if repeated else "begins"


def _released(who: Who, life: _Life, observation: Any) -> Iterator[Step]:  # noqa: ANN401 - any observation
    """Return the step that waited for its observation."""
    if life.held is not None:
        held, life.held = life.held, None
        yield Step(**{**held, "who": who}, observation=observation)


def _begin(
    who: Who,
    life: _Life,
    document: Mapping[str, Any],
    said: Mapping[str, Any],
    observation: Any,  # noqa: ANN401 - any observation
    episode: int | None,
    place: Place,
) -> Begin:
    seed = next(
        (n for v in (document.get("episode_seed"), said.get("seed"), life.seed) if (n := whole(v)) is not None), None
    )
    labels = {**life.labels, **{name: text for name in _LABELS if (text := text_of(document.get(name)))}}
    source = PurePath(place.source)
    if name := text_of(document.get("episode_id")) or (source.parent.name if source.name == "episode.jsonl" else ""):
        labels["episode_id"] = name
    life.seed, life.number = None, None
    return Begin(who=who, episode=episode, observation=observation, seed=seed, labels=labels, at_us=_time(document))


def _step_fields(
    who: Who, document: Mapping[str, Any], said: Mapping[str, Any], frame: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a step without its observation. What has no place of its own is a number beside the step, or in `info`."""
    used = _SAID_ONCE.union(_names_used(document))
    if _episode_number(document, {}) == _episode_number(document, said):
        used |= {"episode_index" if "episode_index" in document else "episode"}
    logged, others = apart((name, value) for name, value in document.items() if name not in used)
    given = document.get("info")
    info = {**(given if isinstance(given, Mapping) else {} if given is None else {"info": given}), **others, **frame}
    if said:
        info["metadata"] = dict(said)
    return {
        "who": who,
        "action": _value(document, "action"),
        "reward": document.get("reward", 0.0),
        "terminated": flag(document.get("terminated")),
        "truncated": flag(document.get("truncated")),
        "info": info or None,
        "logged": logged,
        "at_us": _time(document),
    }


def _names_used(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that are an action, an observation, a time or metadata of a step."""
    for name in ("action", "observation", "metadata"):
        yield _name_of(document, name) or name
    if (after := _name_after(document)) is not None:
        yield after
        if _name_of(document, "observation") is None:
            yield "state"
    yield "timestamp" if nanoseconds_us(document.get("ts_unix_ns")) is None else "ts_unix_ns"


def _observations(document: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what the agent saw before its action and after it; ABSENT where a line does not say."""
    seen = _value(document, "observation")
    if (after := _name_after(document)) is not None:
        return (document.get("state", ABSENT) if seen is ABSENT else seen), document[after]
    return (seen, ABSENT) if any(name in document for name in _BEFORE_ACTION) else (ABSENT, seen)


def _name_after(document: Mapping[str, Any]) -> str | None:
    return next((name for name in ("next_observation", "next_state") if name in document), None)


def _name_of(document: Mapping[str, Any], name: str) -> str | None:
    """Return the field that holds a value: as JSON inside of a text, or as it is; None = neither does."""
    return next((one for one in (f"{name}_json", name) if document.get(one) is not None), None)


def _value(document: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any action or observation
    found = _name_of(document, name)
    if found is None:
        return ABSENT
    return inner_json(document[found]) if found.endswith("_json") else document[found]


def _metadata(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = inner_json(document.get("metadata_json") or document.get("metadata"))
    return found if isinstance(found, Mapping) else {} if found is None else {"metadata": found}


def _episode_number(document: Mapping[str, Any], said: Mapping[str, Any]) -> int | None:
    found = (said.get("episode_index"), document.get("episode_index"), document.get("episode"))
    number = next((n for value in found if (n := whole(value)) is not None), None)
    if number is None and (match := _EPISODE_ID.search(text_of(document.get("episode_id")))):
        number = int(match[1])
    if number is not None and not 0 <= number < 2**62:
        raise Malformed(f"episode {number} is out of range")
    return number


def _time(document: Mapping[str, Any]) -> int | None:
    at = nanoseconds_us(document.get("ts_unix_ns"))
    return time_us(document.get("timestamp")) if at is None else at


def _message(document: Mapping[str, Any]) -> str:
    return next(
        (text for name in ("message", "error") if (text := text_of(document.get(name)))), _compact(document).decode()
    )


def _compact(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":")).encode()


def _size_of(frame: object) -> dict[str, Any]:
    found = inner_json(frame)
    if not isinstance(found, Mapping):
        return {}
    return {name: found[name] for name in ("mode", "width", "height") if name in found}
