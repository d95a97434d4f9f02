"""Reads what clients of language models hand around: messages, answers, and what a call used. Pure; raises nothing."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

#: What a use is called by providers -> the name of the recorded number. The first that is there counts.
_USED: Mapping[str, tuple[str, ...]] = {
    "llm.input_tokens": ("input_tokens", "prompt_tokens", "prompt_token_count", "inputTokens"),
    "llm.output_tokens": ("output_tokens", "completion_tokens", "candidates_token_count", "outputTokens"),
    "llm.cached_tokens": (
        "cached_tokens",
        "cache_read_input_tokens",
        "cached_content_token_count",
        "cacheReadInputTokens",
    ),
}
#: Where providers keep the number of cached tokens.
_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_DEEPEST = 20
#: Answers and results that are kept until the next list of messages comes.
_RECORDED = 1000


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of a client
    """Return a message, or a list of some, as JSON data: models of pydantic, dataclasses and mappings as dicts.

    Fields that are None are left out, as clients have many of them. What is none of these stays as it is.
    """
    try:
        return _plain(value, 0)
    except Exception:  # noqa: BLE001 - the value is the user's, and the recorder says what is wrong with it
        return value


def _plain(value: Any, depth: int) -> Any:  # noqa: ANN401
    if value is None or isinstance(value, str | int | float | bool) or depth > _DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(part, depth + 1) for name, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [_plain(part, depth + 1) for part in value]
    fields = _fields(value)
    return value if fields is None else _plain(fields, depth + 1)


def _fields(value: Any) -> Mapping[str, Any] | None:  # noqa: ANN401
    try:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        dump = getattr(value, "model_dump", None)
        return dump() if callable(dump) else None
    except Exception:  # noqa: BLE001 - the object is the user's
        return None


def used(usage: Any) -> dict[str, float]:  # noqa: ANN401 - a mapping, or an object of a client
    """Return the numbers of tokens of a call, by the names that the page sums up."""
    found: dict[str, float] = {}
    sources = [usage, *(_part(usage, name) for name in _DETAILS)]
    for name, names in _USED.items():
        for source in sources:
            number = next((n for known in names if (n := _number(_part(source, known))) is not None), None)
            if number is not None:
                found[name] = number
                break
    return found


def _part(source: Any, name: str) -> Any:  # noqa: ANN401
    try:
        return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
    except Exception:  # noqa: BLE001 - likewise
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


class History:
    """What of a growing list of messages is new: a client sends all of them with each call.

    Answers and results that were recorded as rows of their own come back in the next call's list; they are not new.
    Only what is equal is known: a list that was rewritten, or an answer that was changed, is recorded as it is now.
    """

    def __init__(self, prompt: object = None) -> None:
        self._known: list[Any] = list(plain(prompt)) if isinstance(prompt, list | tuple) else []
        self._recorded: deque[Any] = deque([] if isinstance(prompt, list | tuple) else [prompt], _RECORDED)

    def recorded(self, value: Any) -> None:  # noqa: ANN401
        """Note what has a row: an answer, a result, a message."""
        self._recorded.append(plain(value))

    def new(self, messages: Sequence[Any]) -> list[Any]:
        """Return the messages that no row has yet; all of them if the list begins otherwise than the last one."""
        given, known = list(plain(messages)), self._known
        self._known = given
        try:
            if given[: len(known)] != known:
                return given
            recorded, self._recorded = self._recorded, deque(maxlen=_RECORDED)
            return [message for message in given[len(known) :] if not _is_one_of(message, recorded)]
        except Exception:  # noqa: BLE001 - values that cannot be compared are recorded as they are
            return given


def _is_one_of(message: Any, recorded: Collection[Any]) -> bool:  # noqa: ANN401
    says = [message, *(message.get(name) for name in ("content", "output") if isinstance(message, dict))]
    return any(said is not None and (said in recorded or str(said) in map(str, recorded)) for said in says)


def by_name(args: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names; those without one are called by their places."""
    return {**{str(at): value for at, value in enumerate(args)}, **named}
