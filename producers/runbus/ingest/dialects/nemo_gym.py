"""Reads NeMo Gym's `rollouts.jsonl`: a line is a rollout, its request and response those of the Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runbus.ingest.acts import Act, Defaults, Place, Who
from runbus.ingest.chat import Conversation, episode_of
from runbus.ingest.documents import Malformed
from runbus.ingest.values import apart, id_of, mapping, objects, seconds_us, text_of, without
from runbus.schemas.events import Outcome

#: items of a response that no model made
_ANSWERS = frozenset(
    ["function_call_output", "computer_call_output", "local_shell_call_output", "mcp_approval_response"]
)


class NemoGym:
    """The dialect `nemo-gym`; see acts.Dialect."""

    unended: Outcome = "completed"

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    def take(self, document: Mapping[str, Any], _place: Place, /) -> Iterator[Act]:
        """Return the episode of a line; an item of the response that the model made is a step."""
        if "response" not in document:
            raise Malformed("it has no response: lines of rollouts.jsonl have one")
        request = mapping(document.get("responses_create_params"), "responses_create_params")
        response = mapping(document["response"], "response")
        asked = _input(request.get("input"))
        made = objects(response.get("output"), "output")
        numbers, others = apart(without(document, "responses_create_params", "response", "reward").items())
        used = mapping(response.get("usage"), "usage")
        tokens, _ = apart((f"llm.{name}", used.get(name)) for name in ("input_tokens", "output_tokens"))
        cut = mapping(response.get("incomplete_details"), "incomplete_details")
        ours = {
            id(item) for item in made if item.get("type") not in _ANSWERS and item.get("role") not in ("user", "system")
        }
        yield from episode_of(
            Conversation(
                who=Who(self._defaults.run, id_of(response.get("model")) or self._defaults.agent),
                messages=[*asked, *made],
                is_models=lambda item: id(item) in ours,
                reward=document.get("reward"),
                labels=_labels(document),
                info={**others, "request": without(request, "input"), "response": without(response, "output")},
                stop=text_of(cut.get("reason")),
                truncated=bool(cut),
                failed=response.get("error") is not None,
                logged=[*numbers, *tokens],
                at_us=seconds_us(response.get("created_at")),
            )
        )

    def end(self) -> Iterator[Act]:
        """Nothing is held."""
        yield from ()


def _input(given: object) -> list[Mapping[str, Any]]:
    return [{"role": "user", "content": given}] if isinstance(given, str) else objects(given, "input")


def _labels(document: Mapping[str, Any]) -> dict[str, object]:
    names = {"_ng_task_index": "group", "_ng_rollout_index": "sample"}
    return {label: document[name] for name, label in names.items() if document.get(name) is not None}
