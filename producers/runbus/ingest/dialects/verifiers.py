"""Reads the `traces.jsonl` of verifiers and prime-rl: a line is an episode, with a trace of messages for each agent.

A trace is a tree: contexts are compacted, agents begin others. A step is a message that a model made; its parent is the
one before it on its branch. Messages of others are what the step before them led to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbus.ingest.acts import Act, Begin, Defaults, Place, Step, Who
from runbus.ingest.chat import scores_of
from runbus.ingest.documents import Malformed
from runbus.ingest.values import apart, flag, id_of, mapping, objects, seconds_us, text_of, whole, without
from runbus.recorder.absent import ABSENT
from runbus.recorder.row_words import StepWords
from runbus.schemas.events import Outcome

Node = Mapping[str, Any]
_ROOT = -1


class Verifiers:
    """The dialect `verifiers`; see acts.Dialect."""

    unended: Outcome = "completed"

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    def take(self, document: Mapping[str, Any], _place: Place, /) -> Iterator[Act]:
        """Return an episode for each trace of a line."""
        if "traces" not in document:
            raise Malformed("it has no traces: lines of traces.jsonl have them")
        run = mapping(document.get("run"), "run")
        shared = without(document, "traces")
        for trace in objects(document["traces"], "traces"):
            name = mapping(trace.get("agent"), "agent").get("name")
            who = Who(id_of(run.get("id")) or self._defaults.run, id_of(name) or self._defaults.agent)
            yield from _trace(who, trace, shared)

    def end(self) -> Iterator[Act]:
        """Nothing is held."""
        yield from ()


def _trace(who: Who, trace: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[Act]:
    nodes = objects(trace.get("nodes"), "nodes")
    makers = _makers(nodes)
    others: dict[int, list[Node]] = {}
    for node, maker in zip(nodes, makers, strict=True):
        if not flag(node.get("sampled")):
            others.setdefault(maker, []).append(node)
    sampled = [index for index, node in enumerate(nodes) if flag(node.get("sampled"))]
    yield Begin(
        who=who,
        observation=[node.get("message") for node in others.get(_ROOT, [])] or ABSENT,
        info=_info(others.get(_ROOT, [])),
        labels=_labels(trace, shared),
        at_us=_at(nodes[0]) if nodes else None,
        name=_ROOT,
    )
    end = _end(trace, shared)
    for index in sampled:
        node = nodes[index]
        fields: dict[str, Any] = end if index == sampled[-1] else {"words": {"kind": "model"}}
        info = {**(fields.get("info") or {}), **without(node, "message", "parent", "sampled", "timestamp")}
        if answered := _info(others.get(index, [])):
            info["answered"] = answered["nodes"]
        yield Step(
            **{**fields, "info": info or None},
            who=who,
            action=node.get("message"),
            observation=[one.get("message") for one in others.get(index, [])] or ABSENT,
            at_us=_at(node),
            name=index,
            parent=makers[index],
        )
    if not sampled:
        yield Step(**end, who=who)
    for name, found in mapping(trace.get("rewards"), "rewards").items():
        if found is not None:
            yield from scores_of(who, {name: mapping(found, name).get("score")})


def _makers(nodes: Sequence[Node]) -> list[int]:
    """Return for each node the last sampled one before it on its branch; _ROOT = there is none.

    Raises Malformed if a parent is no earlier node.
    """
    found: list[int] = []
    for index, node in enumerate(nodes):
        parent = node.get("parent")
        if parent is None:
            found.append(_ROOT)
            continue
        at = whole(parent)
        if at is None or not 0 <= at < index:
            raise Malformed(f"node {index} has the parent {parent!r}, which is no node before it")
        found.append(at if flag(nodes[at].get("sampled")) else found[at])
    return found


def _end(trace: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last step says of the episode. A reward that is null was not computed, which is not 0."""
    rewards = [
        mapping(found, "a reward") for found in mapping(trace.get("rewards"), "rewards").values() if found is not None
    ]
    logged, others = apart(mapping(trace.get("metrics"), "metrics").items())
    if not rewards:
        logged.append(("not_scored", 1.0))
    errors = trace.get("errors") or shared.get("errors")
    words: StepWords = {"kind": "model", "status": "error" if errors and not flag(trace.get("ok")) else "ok"}
    if stop := text_of(trace.get("stop_condition")):
        words["stop"] = stop
    cut = flag(trace.get("is_timeout")) or flag(shared.get("is_timeout")) or not flag(trace.get("is_completed", True))
    info = {
        "trace": {**without(trace, "nodes", "metrics"), **({"metrics": others} if others else {})},
        "episode": dict(shared),
    }
    return {
        "reward": float(sum(one.get("score", 0.0) * one.get("weight", 1.0) for one in rewards)),
        "terminated": not cut,
        "truncated": cut,
        "words": words,
        "info": info,
        "logged": logged,
    }


def _labels(trace: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, object]:
    group, env, run = (mapping(shared.get(name), name) for name in ("group", "env", "run"))
    work = mapping(run.get("work"), "work")
    found = {
        "trace_id": trace.get("id"),
        "episode_id": shared.get("id"),
        "group": group.get("id"),
        "env": env.get("id"),
        "split": work.get("type"),
        "train_step": work.get("step"),
        "policy_version": mapping(work.get("policy"), "policy").get("start"),
    }
    return {name: value for name, value in found.items() if isinstance(value, (str, int))}


def _info(nodes: Sequence[Node]) -> dict[str, Any] | None:
    """Return what else messages of others have: their tokens, masks and times."""
    return {"nodes": [without(node, "message", "sampled") for node in nodes]} if nodes else None


def _at(node: Node) -> int | None:
    return seconds_us(node.get("timestamp"))
