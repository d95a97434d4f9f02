"""Says what a score is about, and reads it from what a caller passes."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple, TypedDict

from runbus.recorder.metric_values import text_within_limit
from runbus.recorder.reading import text_of_object
from runbus.recorder.row_words import LeaveOut, plain_text, shown
from runbus.schemas.metric_batch import NO_ATTEMPT, NONE

_INT32, _INT64 = 2**31, 2**63


class About(NamedTuple):
    """What a value is about, and what is said beside its number.

    Attributes:
        agent: its name, or empty.
        agent_attempt: NO_ATTEMPT = not said.
        env, episode, step, step_seq: NONE = not named.
        judge: who judged; empty = the source.
        label, text: the judgement in words.
    """

    agent: str = ""
    agent_attempt: int = NO_ATTEMPT
    env: int = NONE
    episode: int = NONE
    step: int = NONE
    step_seq: int = NONE
    judge: str = ""
    label: str = ""
    text: str = ""


NOTHING = About()


class ScoreWords(TypedDict, total=False):
    """What a caller may say about a score, by name: see Recorder.score."""

    agent: str | None
    attempt: int | None
    env: int | None
    episode: int | None
    step: int | None
    seq: int | None
    judge: str | None
    label: str | None
    text: str | None


_WORDS = ScoreWords.__annotations__.keys()


def about_of(words: ScoreWords, leave_out: LeaveOut) -> About:
    """Return what a score is about; a part that cannot be recorded is left out by itself. Never raises.

    An episode or a step without an env is one of env 0.
    """
    if not words.keys() <= _WORDS:
        leave_out("score", f"{sorted(words.keys() - _WORDS)} are no words for a score")
    agent, attempt, env, episode, step, seq, judge, label, text = (
        words.get(name) for name in ("agent", "attempt", "env", "episode", "step", "seq", "judge", "label", "text")
    )
    placed = env is None and (episode is not None or step is not None)
    return About(
        agent=_word(agent, "agent", leave_out),
        agent_attempt=_index(attempt, "attempt", _INT64, NO_ATTEMPT, leave_out),
        env=0 if placed else _index(env, "env", _INT32, NONE, leave_out),
        episode=_index(episode, "episode", _INT64, NONE, leave_out),
        step=_index(step, "step", _INT32, NONE, leave_out),
        step_seq=_index(seq, "seq", _INT64, NONE, leave_out),
        judge=_word(judge, "judge", leave_out),
        label=_word(label, "label", leave_out),
        text="" if text is None else text_within_limit(text_of_object(text), leave_out),
    )


def _word(value: object, part: str, leave_out: LeaveOut) -> str:
    return "" if value is None else plain_text(value, f"score {part}", leave_out)


def _index(value: Any, part: str, below: int, none: int, leave_out: LeaveOut) -> int:  # noqa: ANN401
    if value is None:
        return none
    try:
        whole = operator.index(value)
    except Exception:  # noqa: BLE001 - whatever the caller gave
        whole = -1
    if 0 <= whole < below:
        return whole
    leave_out(f"score {part}", f"{part}={shown(value)} is no index: the score is recorded without it")
    return none
