"""Files of conversations: verifiers, verl, NeMo Gym, OpenEnv, Inspect. Each message is a row's, and once."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.ingest.acts import Begin, Defaults, Judged, Place, Step
from runbus.ingest.dialects.nemo_gym import NemoGym
from runbus.ingest.dialects.openenv import OpenEnv
from runbus.ingest.dialects.verifiers import Verifiers
from runbus.ingest.dialects.verl import Verl
from runbus.ingest.files.inspect_log import inspect_log
from runbus.ingest.formats import CannotIngest
from runbus.recorder import ABSENT
from tests.support.ingested import Ingested, ingested, recorded

quick = settings(max_examples=80, deadline=None, derandomize=True)


def labels(found: Ingested) -> dict[str, list[str]]:
    """Return the labels of episodes by name."""
    texts: dict[str, list[str]] = {}
    for batch in found.batches:
        for label in batch.labels:
            texts.setdefault(label.name, []).extend(label.values)
    return texts


def words(found: Ingested) -> list[str]:
    """Return why episodes stopped."""
    return [text for batch in found.batches for text in batch.stop if text]


def said(role: str, text: str) -> dict[str, str]:
    """Return a message."""
    return {"role": role, "content": text}


# --- verl


def test_verl_is_an_episode_a_line() -> None:
    """Prompt, answer, score; the policy's version from the line or the file's name; a score of None is not 0."""
    lines = [
        {"input": "2+2?", "output": "4", "gts": "4", "score": 1.0, "step": 7, "acc": 1.0, "uid": "u1"},
        {"input": "2+3?", "output": "6", "score": None, "gts": "5"},
    ]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b'{"input": "ha'
    found, read = ingested(Verl, {"rollouts/7.jsonl": content})
    assert [(row.at, row.action if row.step else None, row.reward) for row in found.rows()] == [
        ((0, 0), None, 0.0), ((0, 1), "4", 1.0), ((1, 0), None, 0.0), ((1, 1), "6", 0.0),
    ]  # fmt: skip
    assert [row.observation for row in found.rows()] == ["2+2?", ABSENT, "2+3?", ABSENT]
    assert [row.extras for row in found.rows() if row.step] == [{"acc": 1.0}, {"not_scored": 1.0}]
    assert [json.loads(row.info or "") for row in found.rows() if row.step] == [{"gts": "4"}, {"gts": "5"}]
    assert labels(found) == {"policy_version": ["7", "7"], "group": ["u1"]}
    assert (read.documents, read.malformed) == (2, 1)  # verl writes without renaming: half a line is seen


# --- OpenEnv


def test_openenv_is_a_conversation() -> None:
    """What the tools said is what a message led to; without `done` it was cut off."""
    turns = [
        said("system", "be brief"),
        said("user", "?"),
        said("assistant", "call"),
        said("tool", "7"),
        said("assistant", "it is 7"),
    ]
    line = {"episode_id": "e", "messages": turns, "reward": 0.5, "done": False, "tool_trace": [{"tool_name": "x"}],
            "metrics": {"turns": 2}, "verify_metrics": {"exact": 1.0, "why": "text"}, "artifacts": {},
            "task": "t"}  # fmt: skip
    found = ingested(OpenEnv, [line])[0]
    assert [row.observation for row in found.rows()] == [turns[:2], turns[3:4], ABSENT]
    assert [row.action for row in found.rows() if row.step] == [turns[2], turns[4]]
    assert [(row.reward, row.over) for row in found.rows()] == [(0.0, (False, False))] * 2 + [(0.5, (False, True))]
    assert labels(found) == {"episode_id": ["e"], "task": ["t"]}
    assert [(name, value) for name, _, _, value in found.values] == [("rewards/exact", 1.0)]
    assert json.loads(found.rows()[-1].info or "")["tool_trace"] == [{"tool_name": "x"}]


@quick
@given(st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), max_size=8))
def test_each_message_is_in_one_row(roles: list[str]) -> None:
    """In order, whoever spoke; the last row ends the episode."""
    messages = [said(role, str(n)) for n, role in enumerate(roles)]
    acts = list(OpenEnv(Defaults("r")).take({"messages": messages, "reward": 1.0}, Place()))
    flat: list[Any] = []
    for act in acts:
        assert isinstance(act, (Begin, Step))
        if isinstance(act, Step) and act.action is not ABSENT:
            flat.append(act.action)
        flat += [] if act.observation is ABSENT else act.observation
    assert flat == messages
    steps = [act for act in acts if isinstance(act, Step)]
    assert [act.terminated for act in steps] == [False] * (len(steps) - 1) + [True]
    assert sum(act.reward for act in steps) == 1.0


# --- NeMo Gym


def test_nemo_gym_is_a_response() -> None:
    """Items that the model made are steps, outputs of functions what they led to."""
    made = [
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": "3"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "3"}]},
    ]
    line = {
        "responses_create_params": {"input": "1+2?", "temperature": 0.5},
        "response": {"model": "org/m", "created_at": 1777660821.5, "output": made, "error": None,
                     "usage": {"input_tokens": 45, "output_tokens": 9},
                     "incomplete_details": {"reason": "max_output_tokens"}},
        "reward": 0.25, "_ng_task_index": 3, "_ng_rollout_index": 1, "accuracy": 1.0,
    }  # fmt: skip
    found = ingested(NemoGym, [line])[0]
    rows = found.rows("org:m")
    assert [row.observation for row in rows] == [[said("user", "1+2?")], ABSENT, made[2:3], ABSENT]
    assert [row.action for row in rows if row.step] == [made[0], made[1], made[3]]
    assert (rows[-1].reward, rows[-1].over, words(found)) == (0.25, (False, True), ["max_output_tokens"])
    assert rows[-1].extras == {"accuracy": 1.0, "_ng_task_index": 3.0, "_ng_rollout_index": 1.0,
                               "llm.input_tokens": 45.0, "llm.output_tokens": 9.0}  # fmt: skip
    assert labels(found) == {"group": ["3"], "sample": ["1"]}
    assert set(found.batches[0].columns.ts.tolist()) == {1777660821500000}


# --- verifiers


def node(parent: int | None, text: str, *, sampled: bool = False, **more: Any) -> dict[str, Any]:
    """Return a node of a trace."""
    found = {"message": said("assistant" if sampled else "user", text), "timestamp": 100.25, **more}
    return {**found, **({} if parent is None else {"parent": parent}), **({"sampled": True} if sampled else {})}


def test_verifiers_is_a_tree() -> None:
    """A step is a sampled node, its parent the one before it on its branch; tokens and links are in info."""
    nodes = [
        node(None, "ask"),
        node(0, "a", sampled=True, token_ids=[1, 2], logprobs=[-0.5]),
        node(1, "tool"),
        node(2, "b", sampled=True),
        node(1, "compacted"),
        node(4, "c", sampled=True, semantic_parents=[{"node": 3, "type": "subagent_return"}]),
    ]
    trace = {"id": "t1", "agent": {"name": "solver"}, "nodes": nodes, "is_completed": True, "ok": True,
             "rewards": {"exact": {"score": 1.0, "weight": 0.5}, "style": {"score": 0.5}, "late": None},
             "metrics": {"turns": 3.0, "bad": None}, "stop_condition": "max_turns"}  # fmt: skip
    work = {"type": "train", "step": 4, "policy": {"start": 3, "end": 4}}
    line = {"id": "e1", "group": {"id": "g1"}, "env": {"id": "math"}, "traces": [trace],
            "run": {"type": "train", "id": "run/9", "work": work}}  # fmt: skip
    found = ingested(Verifiers, [line])[0]
    rows = found.rows("solver")
    assert found.started[0].run_id == "run:9"
    assert [row.action for row in rows[1:]] == [nodes[n]["message"] for n in (1, 3, 5)]
    assert [row.observation for row in rows] == [
        [nodes[0]["message"]], [nodes[2]["message"], nodes[4]["message"]], ABSENT, ABSENT,
    ]  # fmt: skip
    assert [
        n
        for batch in found.batches
        for n in (batch.columns.parent.tolist() if batch.columns.parent is not None else [])
    ] == [-1, 0, 1, 1]
    assert [row.reward for row in rows] == [0.0, 0.0, 0.0, 1.0]
    assert [(name, value) for name, _, _, value in found.values] == [("rewards/exact", 1.0), ("rewards/style", 0.5)]
    first = json.loads(rows[1].info or "")
    assert (first["token_ids"], first["logprobs"], [one["parent"] for one in first["answered"]]) == (
        [1, 2],
        [-0.5],
        [1, 1],
    )
    assert json.loads(rows[3].info or "")["semantic_parents"] == [{"node": 3, "type": "subagent_return"}]
    assert rows[3].extras == {"turns": 3.0}
    assert labels(found) == {"trace_id": ["t1"], "episode_id": ["e1"], "group": ["g1"], "env": ["math"],
                             "split": ["train"], "train_step": ["4"], "policy_version": ["3"]}  # fmt: skip
    assert words(found) == ["max_turns"]


@pytest.mark.parametrize("rewards", [{}, {"exact": None}])
def test_a_trace_that_was_not_scored_is_not_zero(rewards: dict[str, None]) -> None:
    """Its last step says so."""
    trace = {"agent": {}, "nodes": [node(None, "a", sampled=True)], "rewards": rewards, "is_timeout": True}
    found = ingested(Verifiers, [{"traces": [trace]}])[0]
    assert [(row.reward, row.over, row.extras) for row in found.rows()[1:]] == [
        (0.0, (False, True), {"not_scored": 1.0})
    ]


@quick
@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=8))
def test_each_message_of_a_tree_is_in_one_row(shape: list[tuple[int, bool]]) -> None:
    """Whatever its branches."""
    nodes = [
        node(parent % n if n and parent else None, str(n), sampled=sampled) for n, (parent, sampled) in enumerate(shape)
    ]
    acts = list(Verifiers(Defaults("r")).take({"traces": [{"nodes": nodes, "rewards": {}}]}, Place()))
    flat: list[Any] = []
    for act in acts:
        if isinstance(act, Step) and act.action is not ABSENT:
            flat.append(act.action)
        if isinstance(act, (Begin, Step)) and act.observation is not ABSENT:
            flat += act.observation
    assert sorted(map(json.dumps, flat)) == sorted(json.dumps(one["message"]) for one in nodes)
    assert not any(isinstance(act, Judged) for act in acts)


def test_a_node_whose_parent_comes_later_is_no_tree() -> None:
    """The line is a dead letter."""
    found, read = ingested(Verifiers, [{"traces": [{"nodes": [node(0, "a")]}]}])
    assert (read.malformed, found.made.steps) == (1, 0)
    assert "has the parent 0, which is no node before it" in found.letters.letters[0][1]


# --- Inspect


SAMPLE = {
    "id": 1, "epoch": 2, "input": "2+2?", "target": "4", "started_at": "2026-01-01T00:00:00+00:00",
    "messages": [{**said("user", "2+2?"), "source": "input"}, {**said("assistant", "4"), "source": "generate"}],
    "output": {"stop_reason": "stop"},
    "scores": {"match": {"value": "C", "explanation": "equal"}, "grade": {"value": 0.75}, "parts": {"value": {"a": 1}}},
}  # fmt: skip
LOG = {"version": 2, "status": "error", "error": {"message": "no quota"},
       "eval": {"run_id": "r1", "model": "org/m", "task": "sums", "tags": ["x"]}}  # fmt: skip


@pytest.mark.parametrize("form", ["json", "eval"])
def test_inspect_samples_are_episodes(form: str, tmp_path: Path) -> None:
    """Scores of each scorer under its own name: a number, or a letter and its number; the end is the log's."""
    path = tmp_path / f"log.{form}"
    if form == "json":
        path.write_text(json.dumps({**LOG, "samples": [SAMPLE]}))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", json.dumps(LOG))
            archive.writestr("samples/1_epoch_2.json", json.dumps(SAMPLE))
            archive.writestr("summaries.json", "[]")
    found = recorded(inspect_log(path, Defaults("")))
    rows = found.rows("org:m")
    assert [row.at for row in rows] == [(0, 0), (0, 1)]
    assert (rows[0].observation, rows[1].action) == (SAMPLE["messages"][:1], SAMPLE["messages"][1])  # type: ignore[index]
    assert [(name, value) for name, _, _, value in found.values][:2] == [("match", 1.0), ("grade", 0.75)]
    assert (found.ends, found.started[0].run_id, found.started[0].tags) == ([("failed", "no quota")], "r1", ["x"])
    assert labels(found) == {"sample_id": ["1"], "epoch": ["2"], "group": ["1"]}
    assert (words(found), rows[1].extras) == (["stop"], {"not_scored": 1.0})
    assert found.batches[0].columns.ts.tolist() == [1767225600000000] * 2


def test_what_is_no_log_of_inspect_is_refused(tmp_path: Path) -> None:
    """With one sentence."""
    (tmp_path / "a").write_text("[]")
    (tmp_path / "b").write_text("{}")
    with zipfile.ZipFile(tmp_path / "c", "w") as archive:
        archive.writestr("x", "")
    for name in "abc":
        with pytest.raises(CannotIngest, match=r"is no log of Inspect|it is no log of Inspect"):
            list(inspect_log(tmp_path / name, Defaults("r")))
