"""The ten rules for MOSAIC's formats, a test each; the last, of the worker beside us, is in test_ingest_worker.py."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.ingest.acts import Begin, Defaults, Numbers, Place, Restarted, Step
from runbus.ingest.dialects.mosaic import Mosaic, kind_of
from runbus.recorder import ABSENT
from tests.support.ingested import Ingested, ingested

quick = settings(max_examples=60, deadline=None, derandomize=True)


def mosaic(*documents: dict[str, Any], **defaults: Any) -> Ingested:
    """Record documents."""
    return ingested(Mosaic, documents, **defaults)[0]


def files(**contents: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return documents as files."""
    return {name: b"".join(json.dumps(one).encode() + b"\n" for one in found) for name, found in contents.items()}


def step(**fields: Any) -> dict[str, Any]:
    """Return a line of M2."""
    return {"type": "step", "action": 1, "reward": 0.5, "terminated": False, "truncated": False, **fields}


# --- rule 1: the kind


@pytest.mark.parametrize(
    ("document", "source", "kind"),
    [
        ({"type": "Step", "event": "heartbeat"}, "", "step"),
        ({"event_type": "EPISODE"}, "x_steps.jsonl", "episode"),
        ({"event": "run_started"}, "x_steps.jsonl", "run_started"),
        ({"a": 1}, "logs/r1_steps.jsonl", "step"),
        ({"step_index": 1}, "logs/r1_episodes.jsonl", "episode"),
        ({"a": 1}, "sessions/e1/episode.jsonl", "step"),
        ({"step_index": 1, "reward": 0.0}, "", "step"),
        ({"num_steps": 4, "total_reward": 0.0}, "", "episode"),
        ({"a": 1}, "", "(none)"),
        ({"type": 7, "step_index": 1}, "", "step"),
    ],
)
def test_the_kind_is_said_or_told_by_name_or_fields(document: dict[str, Any], source: str, kind: str) -> None:
    """`type`, `event_type`, `event`, the file's name, the fields: the first that says it."""
    assert kind_of(document, source) == kind


def test_kinds_that_nobody_knows_are_counted_by_name() -> None:
    """And those that hold nothing to record likewise."""
    found = mosaic({"type": "telepathy"}, {"type": "telepathy"}, {"a": 1}, {"type": "pong"}, {"event": "heartbeat"})
    assert found.made.unknown == {"telepathy": 2, "(none)": 1}
    assert found.made.passed == {"pong": 1, "heartbeat": 1}
    assert found.rows() == []


# --- rule 2: numbers of steps


@pytest.mark.parametrize("first", [0, 1])
def test_steps_are_numbered_by_their_order(first: int) -> None:
    """Some workers begin at 0, some at 1: their own number is beside the step."""
    found = mosaic(*(step(episode_index=0, step_index=first + n, terminated=n == 2) for n in range(3)))
    assert [(row.at, row.extras.get("step_index")) for row in found.rows()] == [
        ((0, 0), None), ((0, 1), first), ((0, 2), first + 1), ((0, 3), first + 2),
    ]  # fmt: skip


# --- rule 3: where episodes end


@pytest.mark.parametrize("order", ["marker first", "step first"])
def test_a_marker_ends_no_episode(order: str) -> None:
    """cleanrl says episode_done before the last step, the others after it; its number is one more than the index."""
    last = [step(episode_index=0, step_index=2, terminated=True)]
    marker = [{"type": "episode_done", "episode_number": 1, "episode_reward": 1.0, "episode_length": 2}]
    both = marker + last if order == "marker first" else last + marker
    found = mosaic(step(episode_index=0, step_index=1), *both, step(episode_index=1, step_index=1))
    assert [row.at for row in found.rows()] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert ("reported/episode_reward", "episode", 0, 1.0) in found.values


def test_an_episode_ends_when_the_index_grows() -> None:
    """Its numbers are those of the worker; what has no end is no episode that ended."""
    found = mosaic(step(episode_index=3, step_index=0), step(episode_index=7, step_index=0, truncated=True))
    assert [(row.at, row.over) for row in found.rows()] == [
        ((3, 0), (False, False)), ((3, 1), (False, False)), ((7, 0), (False, False)), ((7, 1), (False, True)),
    ]  # fmt: skip


def test_the_index_in_the_metadata_wins() -> None:
    """In older lines `episode` is the seed plus the index."""
    said = {"episode_index": 1, "seed": 42}
    found = mosaic(step(episode=43, step=0, metadata_json=json.dumps(said), terminated=True))
    assert [row.at for row in found.rows()] == [(1, 0), (1, 1)]
    reset, first = found.rows()
    assert (reset.seed, first.extras["episode"]) == (42, 43.0)


# --- rule 4: before or after the action


def test_an_observation_from_before_the_action_waits_for_the_next_line() -> None:
    """Language models' lines: what a step led to is what the next one saw; of the last step there is none."""
    found = mosaic(
        *(
            {"run_id": "r", "episode_id": f"r-ep{episode:06d}", "step_index": n, "observation": f"saw {episode}{n}",
             "action": f"do {n}", "reward": float(n), "terminated": n == 1, "truncated": False, "llm_input_tokens": 5,
             "llm_response": "text", "timestamp": f"2026-03-01T00:00:0{n}.000001"}
            for episode in range(2) for n in range(2)
        )
    )  # fmt: skip
    assert [(row.at, row.action, row.observation, row.reward) for row in found.rows() if row.step] == [
        ((0, 1), "do 0", "saw 01", 0.0), ((0, 2), "do 1", ABSENT, 1.0),
        ((1, 1), "do 0", "saw 11", 0.0), ((1, 2), "do 1", ABSENT, 1.0),
    ]  # fmt: skip
    assert [row.observation for row in found.rows() if not row.step] == ["saw 00", "saw 10"]
    assert found.rows()[1].extras == {"step_index": 0.0, "llm_input_tokens": 5.0}
    assert found.batches[0].columns.ts.tolist()[:2] == [1772323200000001, 1772323200000001]


def test_a_step_that_waits_at_the_end_is_recorded() -> None:
    """The worker died: its last step has no observation, its stream is interrupted."""
    found = mosaic({"type": "step", "episode_index": 0, "step_index": 0, "observation": "o", "action": "a",
                    "reward": 1.0, "terminated": False, "truncated": False, "llm_response": "x"})  # fmt: skip
    assert [(row.at, row.observation) for row in found.rows()] == [((0, 0), "o"), ((0, 1), ABSENT)]
    assert found.ends[0][0] == "interrupted"


def test_older_lines_have_both_observations() -> None:
    """State and next state."""
    found = mosaic(
        step(episode=0, step=0, state=[1, 2], next_state=[3, 4], q_before=0.25, q_after=0.5, epsilon=0.1),
        step(episode=0, step=1, state=[3, 4], next_state=[5, 6], terminated=True),
    )
    assert [list(row.observation) for row in found.rows()] == [[1, 2], [3, 4], [5, 6]]
    assert found.rows()[1].extras == {"step": 0.0, "q_before": 0.25, "q_after": 0.5, "epsilon": 0.1}


def test_a_session_has_no_actions_and_only_its_last_steps() -> None:
    """Each file is an episode; its folder names it."""
    lines = [{"step_index": n, "reward": 1.0, "terminated": n == 9, "truncated": False, "observation": {"x": n},
              "timestamp": "2026-03-01T00:00:00+00:00", "info": {}} for n in (8, 9)]  # fmt: skip
    found, _ = ingested(Mosaic, files(**{"s/e1/episode.jsonl": lines, "s/e2/episode.jsonl": lines[:1]}))
    assert [(row.at, row.action if row.step else None) for row in found.rows()] == [
        ((0, 0), None), ((0, 1), ABSENT), ((0, 2), ABSENT), ((1, 0), None), ((1, 1), ABSENT),
    ]  # fmt: skip
    assert [text for batch in found.batches for label in batch.labels for text in label.values] == ["e1", "e2"]


# --- rule 5: actions and agents


@pytest.mark.parametrize("action", [3, [0.5, -1.0], "go forward", {"move": [1, 2], "say": "hi"}, True, 2.5])
def test_actions_are_kept_as_they_are(action: Any) -> None:
    """Also inside of a text."""
    plain, inside = (
        mosaic(step(**given)).rows()[1].action for given in ({"action": action}, {"action_json": json.dumps(action)})
    )
    for found in (plain, inside):
        assert (found.tolist() if hasattr(found, "tolist") else found) == action


def test_each_agent_is_a_stream_and_none_is_the_default() -> None:
    """An empty name is none."""
    found = mosaic(step(agent_id="a", run_id="r"), step(agent_id="b", run_id="r"), step(agent_id=""), agent="me")
    assert {(one.run_id, one.agent_id) for one in found.started} == {("r", "a"), ("r", "b"), ("run-1", "me")}


@pytest.mark.parametrize(("name", "kept"), [("org/model", "org:model"), ("a\x1fb", ""), ("x" * 100_000, ""), (7, "7")])
def test_a_name_is_one_of_runbus_or_the_line_is_a_dead_letter(name: Any, kept: str) -> None:
    """A `/` separates run and agent in the log."""
    found = mosaic(step(run_id=name))
    assert [one.run_id for one in found.started] == ([kept] if kept else [])
    assert len(found.letters.letters) == (0 if kept else 1)


# --- rule 6: attempts and ends


@pytest.mark.parametrize("again", [{"episode_index": 0, "step_index": 0}, {"episode_index": 1, "step_index": 0}])
def test_steps_that_come_again_are_another_attempt(again: dict[str, int]) -> None:
    """A worker that was killed begins at the beginning, or at its episode."""
    lines = [step(episode_index=0, step_index=0, terminated=True), step(episode_index=1, step_index=0),
             step(episode_index=1, step_index=1)]  # fmt: skip
    first, second = mosaic(*lines, step(**again)).attempts()
    assert [row.at for row in first] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [row.at for row in second] == [(again["episode_index"], 0), (again["episode_index"], 1)]


@pytest.mark.parametrize(
    ("line", "end"),
    [
        (None, ("interrupted", "")),
        ({"event": "run_completed"}, ("completed", "")),
        ({"event": "run_failed", "payload": {"error": "no GPU"}}, ("failed", "no GPU")),
        ({"event": "run_failed", "payload": {}}, ("failed", "the worker says run_failed")),
        ({"event": "run_cancelled", "payload": {}}, ("interrupted", "cancelled")),
    ],
)
def test_a_run_ends_as_the_worker_says(line: dict[str, Any] | None, end: tuple[str, str]) -> None:
    """And is interrupted if it says nothing."""
    begun = {"event": "run_started", "run_id": "r", "payload": {"lr": 0.5}, "timestamp": 1.0}
    found = mosaic(begun, step(run_id="r"), *([] if line is None else [{"run_id": "r", **line}]))
    assert found.ends == [end]
    assert json.loads(found.started[0].config) == {"lr": 0.5}


# --- rule 7: what belongs where


def test_numbers_info_seeds_and_times() -> None:
    """Numbers are beside the step, `info` is info, the rest is there too; seeds and times are as given."""
    found = mosaic(
        {"type": "ready", "env_id": "CartPole-v1", "seed": 2**70},
        step(episode_reward=3.5, worker_id="w", info={"x": [1]}, ts_unix_ns=1_700_000_000_123_456_789, huge=2**60),
    )
    reset, row = found.rows()
    assert row.extras == {"episode_reward": 3.5}
    assert json.loads(row.info or "") == {"x": [1], "worker_id": "w", "huge": 2**60}
    assert found.batches[0].columns.ts.tolist() == [1_700_000_000_123_456] * 2
    assert [int(text, 0) for text in found.batches[0].large_seeds if text] == [2**70]
    assert (found.batches[0].labels[0].name, found.batches[0].labels[0].values) == ("env", ("CartPole-v1",))
    assert reset.at == (0, 0)


def test_a_heartbeat_is_no_step_and_a_checkpoint_an_artifact() -> None:
    """A checkpoint that was loaded is not written by this run."""
    found = mosaic(
        {"event": "checkpoint_saved", "run_id": "r", "payload": {"path": "s3://b/model-7.pt", "step": 7}},
        {"event": "checkpoint_loaded", "run_id": "r", "payload": {"path": "s3://b/model-6.pt"}},
        {"event": "heartbeat", "run_id": "r"},
    )
    assert (found.made.artifacts, found.made.passed, found.made.steps) == (
        1,
        {"checkpoint_loaded": 1, "heartbeat": 1},
        0,
    )


def test_a_reward_that_is_none_is_not_zero() -> None:
    """It is NaN, and the row says that it was left out."""
    row = mosaic(step(reward=None)).rows()[1]
    assert row.reward != row.reward
    assert len([name for name in row.extras if "reward" in name]) == 1


# --- rule 8: frames


def test_frames_are_dropped_and_counted_or_kept() -> None:
    """As size and hash, or whole."""
    frame = {"mode": "rgb", "rgb": [[[1, 2, 3]]], "width": 1, "height": 1}
    text = json.dumps(frame, separators=(",", ":")).encode()
    dropped, ref, kept = (mosaic(step(render_payload=frame), frames=how) for how in ("drop", "ref", "keep"))
    assert dropped.made.left_out == {"frames": (1, len(text))}
    assert dropped.rows()[1].info is None
    assert json.loads(ref.rows()[1].info or "") == {
        "render_payload": {
            "bytes": len(text),
            "sha256": sha256(text).hexdigest(),
            "mode": "rgb",
            "width": 1,
            "height": 1,
        }
    }
    assert json.loads(kept.rows()[1].info or "") == {"render_payload": frame}


def test_a_line_above_the_limit_is_counted_and_its_start_kept() -> None:
    """The lines around it are recorded."""
    long = step(render_payload={"rgb": [0] * 5000})
    sources = files(x=[step(episode_index=0), long, step(episode_index=1)])
    found, read = ingested(Mosaic, sources, limit=4000)
    assert (read.too_long, found.made.steps, len(found.letters.letters[0][2])) == (1, 2, 1024)
    assert found.letters.letters[0][:2] == (2, f"a line of {len(json.dumps(long))} bytes, longer than 4000")


# --- rule 9: bad lines


def test_bad_lines_are_counted_and_nothing_else_is_lost() -> None:
    """BOM, CRLF, NUL, NaN, half a last line, two objects on a line, prints of the script, an episode out of range."""
    good = json.dumps(step(reward=float("nan"))).encode()
    content = (
        b"\xef\xbb\xbf" + good + b"\r\n\x00\x00" + good + b"\x00\n\nglobal_step=7\n" + good + good + b"\n"
        + json.dumps(step(episode_index=-1)).encode() + b"\n" + good[:-5]
    )  # fmt: skip
    found, read = ingested(Mosaic, {"x": content}, prints=True, chunk=7)
    assert (read.documents, read.text, read.malformed, found.made.steps) == (4, 1, 2, 4)
    (first, out_of_range, _), (last, half, _) = found.letters.letters
    assert (first, out_of_range, last) == (6, "episode -1 is out of range", 7)
    assert half.endswith("; the source ends in the middle of it")


def test_text_in_a_file_is_a_bad_line() -> None:
    """Only what a worker prints has log lines in it."""
    found, read = ingested(Mosaic, {"x": b"hello\n"})
    assert (read.text, read.malformed, found.letters.letters[0][2]) == (0, 1, b"hello")


# --- any lines


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)
NAMES = st.sampled_from(
    ["type", "event", "run_id", "agent_id", "episode_index", "episode", "step_index", "step", "action", "action_json",
     "observation", "observation_json", "reward", "terminated", "truncated", "metadata", "metadata_json", "info",
     "next_state", "state", "timestamp", "ts_unix_ns", "seed", "render_payload", "llm_response", "payload", "num_steps"]
)  # fmt: skip
KINDS = st.sampled_from(["step", "episode", "run_failed", "ready", "checkpoint_saved", "run_started", "?"])


@quick
@given(st.lists(st.tuples(KINDS, st.dictionaries(NAMES, VALUES, max_size=8)), max_size=8))
def test_no_document_ends_the_reading(documents: list[tuple[str, dict[str, Any]]]) -> None:
    """Each is recorded, counted by its kind, or a dead letter; what is recorded can be decoded."""
    lines = b"".join(json.dumps({"type": kind, **rest}).encode() + b"\n" for kind, rest in documents)
    found, read = ingested(Mosaic, {"x": lines})
    assert read.documents + read.malformed == len(documents)
    assert (
        sum(len(batch.info) or batch.header.count for batch in found.batches) == found.made.steps + found.made.episodes
    )


@quick
@given(st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_episodes_of_a_worker_are_the_recorded_ones(rewards: list[list[float]], markers: bool) -> None:
    """Lengths, rewards, ends, actions and observations of what a trainer's worker prints."""
    dialect = Mosaic(Defaults("r"))
    acts = []
    for episode, of in enumerate(rewards):
        for n, reward in enumerate(of):
            line = step(episode_index=episode, step_index=n, reward=reward, terminated=n + 1 == len(of),
                        observation=[episode, n], action=n)  # fmt: skip
            acts += list(dialect.take(line, Place()))
        if markers:
            acts += list(dialect.take({"type": "episode", "episode_index": episode, "total_reward": sum(of)}, Place()))
    steps = [act for act in acts if isinstance(act, Step)]
    assert [one.reward for one in steps] == [reward for of in rewards for reward in of]
    assert [one.action for one in steps] == [n for of in rewards for n in range(len(of))]
    assert [one.observation for one in steps] == [[e, n] for e, of in enumerate(rewards) for n in range(len(of))]
    assert [act.episode for act in acts if isinstance(act, Begin)] == list(range(len(rewards)))
    assert sum(isinstance(act, Numbers) for act in acts) == (len(rewards) if markers else 0)
    assert not any(isinstance(act, Restarted) for act in acts)
