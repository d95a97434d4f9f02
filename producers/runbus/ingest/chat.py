"""Makes an episode of a conversation: what was asked is its reset, each message of the model a step.

What came back before the model spoke again, results of tools included, is the observation of its step. The last step
ends the episode and has its reward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbus.ingest.acts import Act, Begin, Judged, Step, Who
from runbus.recorder.absent import ABSENT
from runbus.recorder.row_words import StepWords

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation.

    Attributes:
        messages: in their order.
        is_models: says which of them a model made.
        reward: of the episode; None = nobody scored it, which is not 0: the last step says so in `not_scored`.
        labels, info: of the episode: on its reset, and on its last step.
        stop: why it ended, in the program's words.
        truncated: it was cut off.
        failed: it ended with an error.
        logged: numbers of its last step.
    """

    who: Who
    messages: Sequence[Message]
    is_models: Callable[[Message], bool]
    reward: float | None
    labels: Mapping[str, object] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    stop: str = ""
    truncated: bool = False
    failed: bool = False
    logged: Iterable[tuple[str, float]] = ()
    seed: int | None = None
    at_us: int | None = None


def episode_of(one: Conversation) -> Iterator[Act]:
    """Yield the rows of a conversation."""
    asked, turns = _turns(one.messages, one.is_models)
    yield Begin(who=one.who, observation=asked or ABSENT, seed=one.seed, labels=one.labels, at_us=one.at_us)
    words: StepWords = {"kind": "model"} if turns else {}
    if one.failed:
        words["status"] = "error"
    if one.stop:
        words["stop"] = one.stop
    for said, answered in turns[:-1]:
        yield Step(who=one.who, action=said, observation=answered or ABSENT, words={"kind": "model"}, at_us=one.at_us)
    said, answered = turns[-1] if turns else (ABSENT, [])
    yield Step(
        who=one.who,
        action=said,
        observation=answered or ABSENT,
        reward=0.0 if one.reward is None else one.reward,
        terminated=not one.truncated,
        truncated=one.truncated,
        info=one.info or None,
        words=words,
        logged=[*one.logged, *([("not_scored", 1.0)] if one.reward is None else [])],
        at_us=one.at_us,
    )


def scores_of(who: Who, scores: Mapping[str, object], at_us: int | None = None) -> Iterator[Judged]:
    """Yield the parts of a reward, under `rewards/NAME`; what is no number is no score."""
    for name, value in scores.items():
        if isinstance(value, (int, float)):
            yield Judged(who=who, value=float(value), name=f"rewards/{name}", at_us=at_us)


def _turns(
    messages: Sequence[Message], is_models: Callable[[Message], bool]
) -> tuple[list[Message], list[tuple[Any, list[Message]]]]:
    """Return what comes before the model's first message; and each of its messages, with what comes behind it."""
    asked: list[Message] = []
    turns: list[tuple[Any, list[Message]]] = []
    for message in messages:
        if is_models(message):
            turns.append((message, []))
        else:
            (turns[-1][1] if turns else asked).append(message)
    return asked, turns
