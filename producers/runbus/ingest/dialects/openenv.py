"""Reads the `results.jsonl` that OpenEnv's collector writes: a line is an episode, with its messages and its reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runbus.ingest.acts import Act, Defaults, Place, Who
from runbus.ingest.chat import Conversation, episode_of, scores_of
from runbus.ingest.documents import Malformed
from runbus.ingest.values import apart, flag, mapping, objects, text_of, without
from runbus.schemas.events import Outcome


class OpenEnv:
    """The dialect `openenv`; see acts.Dialect."""

    unended: Outcome = "completed"

    def __init__(self, defaults: Defaults) -> None:
        self._who = Who(defaults.run, defaults.agent)

    def take(self, document: Mapping[str, Any], _place: Place, /) -> Iterator[Act]:
        """Return the episode of a line. OpenEnv knows no truncated: one that is not `done` was cut off."""
        if "messages" not in document:
            raise Malformed("it has no messages: lines of results.jsonl have them")
        logged, others = apart(without(document, "episode_id", "messages", "reward", "done").items())
        labels = {"episode_id": text_of(document.get("episode_id")), "task": text_of(document.get("task"))}
        yield from episode_of(
            Conversation(
                who=self._who,
                messages=objects(document["messages"], "messages"),
                is_models=lambda message: message.get("role") == "assistant",
                reward=document.get("reward"),
                labels={name: label for name, label in labels.items() if label},
                info=others,
                truncated=not flag(document.get("done", True)),
                logged=logged,
            )
        )
        yield from scores_of(self._who, mapping(document.get("verify_metrics"), "verify_metrics"))

    def end(self) -> Iterator[Act]:
        """Nothing is held."""
        yield from ()
