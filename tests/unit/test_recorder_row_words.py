"""What a loop says about its rows is on the wire at those rows: absent values, seeds, kinds, labels, numbers."""

from __future__ import annotations

import copy
import pickle
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.recorder import ABSENT, Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.logged import MAX_WAITING
from runbus.recorder.row_words import MAX_LABELS, MAX_TEXT
from runbus.schemas.batch import KINDS, STATUSES, encode
from runbus.schemas.events import RunEvent
from runbus.schemas.layout import unpack
from tests.fuzz.rows import Row, bits, step_rows
from tests.support.recorded_rows import batches_of

quick = settings(max_examples=60, deadline=None, derandomize=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.booleans()), max_size=4)
SEEDS = st.one_of(st.none(), st.integers(), st.integers(2**63 - 2, 2**64), st.integers(0, 2**128))
NUMBERS = st.dictionaries(st.sampled_from(["loss", "lr", "ä"]), st.floats(), min_size=1, max_size=3)


def recorder_on(**options: Any) -> tuple[Recorder, Subscription]:
    """Return a recorder and a subscription of its bus."""
    bus = RunBus()
    subscription = bus.subscribe("test", max_events=10_000_000)
    return Recorder("run-1", bus=bus, kafka=False, **options), subscription


def read(recorder: Recorder, subscription: Subscription) -> tuple[list[Row], RunEvent]:
    """Close the recorder; return the rows as a table has them, and the FINISHED event, both from the wire."""
    recorder.close()
    events = subscription.get_many(10_000)
    rows = [row for event in events if isinstance(event, StepsRecorded) for row in step_rows(encode(event.batch()))]
    (finished,) = [event for event in events if isinstance(event, StreamFinished)]
    return rows, RunEvent.decode(finished.final(1).encode())


# --- a loop of any kind against a ledger ----------------------------------------------------------------------


@dataclass
class Ledger:
    """What the rows of a loop must be, by seq, kept by the loop itself."""

    rows: list[Row] = field(default_factory=list)
    waiting: list[tuple[str, float]] = field(default_factory=list)

    def add(self, seq: int | None, **said: object) -> None:
        """Note a row, which takes the numbers that wait."""
        assert seq == len(self.rows)
        numbers: dict[str, list[int]] = {}
        for name, value in self.waiting:
            numbers.setdefault(name, []).append(bits(value))
        nothing = {"kind": "", "status": "", "parent": -1, "stop": "", "seed_text": "", "labels": []}
        self.rows.append({**nothing, "extras_all": sorted(numbers.items()), **said})
        self.waiting = []


@st.composite
def _calls(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """Return calls of a loop: their names and arguments."""

    def maybe(values: st.SearchStrategy[Any]) -> Any:
        return draw(values) if draw(st.booleans()) else None

    calls: list[tuple[str, dict[str, Any]]] = []
    for _ in range(draw(st.integers(0, 25))):
        match draw(st.sampled_from(["reset", "step", "log", "close_batch"])):
            case "reset":
                calls.append(("reset", {"seed": draw(SEEDS), "labels": maybe(LABELS)}))
            case "step":
                words = {"kind": maybe(st.sampled_from(KINDS[1:])), "status": maybe(st.sampled_from(STATUSES[1:]))}
                calls.append(("step", {**words, "parent": maybe(st.integers(0, 2**63 - 1)), "stop": maybe(TEXT)}))
            case "log":
                calls.append(("log", {"values": draw(NUMBERS)}))
            case _:
                calls.append(("close_batch", {}))
    return calls


@given(_calls())
@quick
def test_every_row_carries_what_was_said_of_it(calls: list[tuple[str, dict[str, Any]]]) -> None:
    """In any order of calls and batches: no word is lost, moved to another row or changed, and no number either."""
    recorder, subscription = recorder_on()
    ledger = Ledger()
    for name, said in calls:
        if name == "reset":
            seq = recorder.reset(0.0, **said)
            texts = sorted((key, str(value)) for key, value in (said["labels"] or {}).items())
            ledger.add(seq, seed_text="" if said["seed"] is None else str(said["seed"]), labels=texts)
        elif name == "step":
            seq = recorder.step(1, 0.0, False, False, 0.0, **said)
            parent = -1 if said["parent"] is None else said["parent"]
            ledger.add(seq, **{key: said[key] or "" for key in ("kind", "status", "stop")}, parent=parent)
        elif name == "log":
            recorder.log(said["values"])
            ledger.waiting += said["values"].items()
        else:
            recorder.flush(0)
    recorder.log({})  # so that the stream begins in any case
    rows, finished = read(recorder, subscription)
    assert [{key: row[key] for key in ledger.rows[0]} for row in rows] == ledger.rows
    assert [(name, bits(v)) for name, values in finished.logged.items() for v in values] == sorted(
        ((name, bits(value)) for name, value in ledger.waiting), key=lambda pair: list(finished.logged).index(pair[0])
    )


# --- absent values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [np.ones(2, np.float32), "text", {"a": [1, {}]}, {"p": np.ones(3), "t": "x"}, 7, np.zeros((40, 40, 3), "u1")],
    ids=["array", "text", "json", "struct", "number", "omitted"],
)
def test_what_is_absent_says_so_and_stays_in_the_batch(value: Any) -> None:
    """Observation, action, or both: no bytes, a dtype that says so, and one batch for all rows."""
    recorder, subscription = recorder_on()
    recorder.reset(value)
    recorder.step(value, 0.0, False, False, value)
    recorder.step(value, 0.0, True, False, ABSENT)
    recorder.step(ABSENT, 0.0, False, False, value)
    recorder.step(ABSENT, 0.0, False, False, ABSENT)
    recorder.reset(ABSENT)
    recorder.close()
    (batch,) = batches_of(subscription.get_many(99))
    rows = step_rows(encode(batch))
    observation = batch.header.observation.dtype.removeprefix("omitted:")
    action = batch.header.action.dtype
    seen = [row["observation_dtype"].startswith("absent:") for row in rows]
    did = [row["action_dtype"].startswith("absent:") for row in rows]
    assert seen == [False, False, True, False, True, True]
    assert did == [False, False, False, True, True, False]
    assert {row["observation_dtype"] for row in rows if row["observation_dtype"].startswith("absent:")} == {
        f"absent:{observation}"
    }
    assert {row["action_dtype"] for row, gone in zip(rows, did, strict=True) if gone} == {f"absent:{action}"}
    assert not any(row["observation_raw"] for row, gone in zip(rows, seen, strict=True) if gone)
    assert not any(row["action_raw"] for row, gone in zip(rows, did, strict=True) if gone)
    raws = unpack(batch.header.observation, batch.observation, batch.header.count)
    assert raws[0] == raws[1] == raws[3]


def test_absent_before_anything_else_and_alone() -> None:
    """A stream may begin with an absent value, or have no others: the row is there and says it."""
    recorder, subscription = recorder_on()
    recorder.reset(ABSENT)
    recorder.step(ABSENT, 1.0, False, False, ABSENT)
    recorder.step(1, 1.0, False, False, 0.5)
    rows, _ = read(recorder, subscription)
    assert [(row["observation_dtype"], row["action_dtype"]) for row in rows] == [
        ("absent:", ""),
        ("absent:", "absent:"),
        ("<f8", "<i8"),
    ]
    assert recorder.stats()["dropped"] == 0


def test_absent_is_one_object_everywhere() -> None:
    """A copy, and one from another process, is the same object: it is compared by identity."""
    assert copy.deepcopy({"a": ABSENT})["a"] is ABSENT
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert repr(ABSENT) == "ABSENT"


def test_the_action_of_a_reset_is_no_zero() -> None:
    """A reset's action has no bytes, a step's zero has them: also in a batch of one width."""
    recorder, subscription = recorder_on()
    recorder.reset(0.0)
    recorder.step(0, 0.0, False, False, 0.0)
    rows, _ = read(recorder, subscription)
    assert [(row["step"], row["action_dtype"], row["action_raw"]) for row in rows] == [
        (0, "<i8", ""),
        (1, "<i8", "00" * 8),
    ]


# --- seeds, words and labels that cannot be recorded as they are ------------------------------------------------


LARGE = [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**128 - 1, -(2**70), 10**4299, 10**4300]


@pytest.mark.parametrize("seed", [*LARGE, np.uint64(2**64 - 1)], ids=lambda seed: f"{int(seed).bit_length()} bits")
def test_seeds_of_any_size_come_back(seed: Any) -> None:
    """Gymnasium takes any non-negative integer: each is exact, and no reset is refused."""
    recorder, subscription = recorder_on()
    recorder.reset(0.0, seed=seed)
    rows, _ = read(recorder, subscription)
    text = rows[0]["seed_text"]
    assert (int(text, 16) if text.lstrip("-").startswith("0x") else int(text)) == seed
    assert recorder.stats()["complaints"] == {}


class Hostile:
    """Raises at everything that is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __index__(self) -> int:
        raise RuntimeError("no index")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("kind", {"kind": "tol"}),
        ("kind", {"kind": ["tool"]}),
        ("kind", {"kind": Hostile()}),
        ("status", {"status": "fine"}),
        ("step", {"knid": "tool"}),
        ("parent", {"parent": -1}),
        ("parent", {"parent": 2**63}),
        ("parent", {"parent": "3"}),
        ("parent", {"parent": Hostile()}),
        ("stop", {"stop": "x" * (MAX_TEXT + 1)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_that_cannot_be_recorded_is_left_out(
    part: str, said: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The step and all its other words stay, it is counted, and said once."""
    recorder, subscription = recorder_on()
    for _ in range(2):
        recorder.step(1, 1.5, False, False, 0.0, **{"kind": "model", "stop": "why", "parent": 0, **said})
    rows, _ = read(recorder, subscription)
    expected = {"kind": "model", "parent": 0, "stop": "why", "status": ""}
    expected |= {} if part == "step" else {part: -1 if part == "parent" else ""}
    if part == "stop":
        expected["stop"] = said["stop"][:MAX_TEXT]
    assert [{key: row[key] for key in expected} for row in rows] == [expected] * 2
    assert recorder.stats()["dropped"] == 0
    assert recorder.stats()["complaints"] == {f"left out {part}": 2}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"a": Hostile(), "b": 1, "c": None}, {"a": "<Hostile>", "b": "1", "c": "None"}),
        ({"\ud800": "\udfff!"}, {r"\ud800": r"\udfff!"}),
        ({n: n for n in range(MAX_LABELS + 1)}, {str(n): str(n) for n in range(MAX_LABELS)}),
        ([("a", 1)], {}),
        (7, {}),
    ],
)
def test_labels_that_cannot_be_recorded_leave_the_rest(labels: Any, kept: dict[str, str]) -> None:
    """Each label is a text, or is left out by itself; the reset is recorded."""
    recorder, subscription = recorder_on()
    assert recorder.reset(0.0, labels=labels) == 0
    rows, _ = read(recorder, subscription)
    assert dict(rows[0]["labels"]) == kept
    assert recorder.stats()["dropped"] == 0


# --- numbers --------------------------------------------------------------------------------------------------


def test_a_number_that_is_none_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """One bad value or name of a call: the others of it are kept, the bad ones are counted and said once."""
    recorder, subscription = recorder_on()
    recorder.log({"loss": 0.25, "note": "x", "\ud800": 2.0, "object": Hostile(), "lr": np.float32(0.5)})  # type: ignore[dict-item]
    recorder.log({"loss": [1, 2]})  # type: ignore[dict-item]
    recorder.step(1, 1.0, False, False, 0.0)
    rows, _ = read(recorder, subscription)
    kept = {"loss": bits(0.25), r"\ud800": bits(2.0), "lr": bits(0.5)}
    assert dict(rows[0]["extras"]) == {**kept, "left_out.log": bits(3.0)}
    assert recorder.stats()["complaints"] == {"left out log": 3}
    assert len(caplog.records) == 1


def test_numbers_of_a_vector_call_and_its_reset_are_at_its_first_row() -> None:
    """A number belongs to the next row of the stream, whichever env that is of; none of a call is lost."""
    recorder, subscription = recorder_on()
    recorder.log({"a": 1})
    recorder.reset_vector(np.zeros((2, 1)), mask=[False, True])
    recorder.log({"a": 2})
    recorder.log({"a": 3})
    recorder.step_vector(np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, np.zeros((2, 1)))
    rows, _ = read(recorder, subscription)
    found = [(row["seq"], row["env"], row["extras_all"]) for row in rows if row["extras_all"]]
    assert found == [(0, 1, [("a", [bits(1)])]), (1, 0, [("a", [bits(2), bits(3)])])]


def test_numbers_of_more_names_than_a_batch_holds_close_it() -> None:
    """Each step may log names of its own: batches are closed before they have too many, and nothing is dropped."""
    recorder, subscription = recorder_on()
    for step in range(4):
        recorder.log({f"{step}/{n}": n for n in range(MAX_WAITING // 3)})
        recorder.step(1, 1.0, False, False, 0.0)
    rows, _ = read(recorder, subscription)
    assert [len(row["extras"]) for row in rows] == [MAX_WAITING // 3] * 4
    assert recorder.stats()["dropped"] == 0


def test_numbers_without_any_step_are_bounded() -> None:
    """A loop that only logs keeps at most MAX_WAITING of them; the rest is counted."""
    recorder, subscription = recorder_on()
    for n in range(MAX_WAITING + 5):
        recorder.log({"loss": n})
    _, finished = read(recorder, subscription)
    assert finished.logged == {"loss": [float(n) for n in range(MAX_WAITING)]}
    assert recorder.stats()["complaints"] == {"left out log": 5}


# --- the run --------------------------------------------------------------------------------------------------


def test_a_run_has_labels_tags_and_a_parent() -> None:
    """STARTED and FINISHED say them; a parent is a recorder or its name from another process, and a step of it."""
    planner, _ = recorder_on(agent="planner")
    seq = planner.reset("plan")
    options: dict[str, Any] = {"labels": {"team": "a", "size": 7}, "tags": ["x", "ä"], "parent_seq": seq}
    for parent in (planner, planner.stream_id):
        recorder, subscription = recorder_on(parent=parent, **options)
        recorder.log({"late": 1.5})
        recorder.close()
        started, finished = subscription.get_many(9)
        assert isinstance(started, StreamStarted)
        for event in (RunEvent.decode(started.event.encode()), RunEvent.decode(finished.final(1).encode())):
            assert (event.labels, event.tags) == ({"team": "a", "size": "7"}, ["x", "ä"])
            assert (event.parent, event.parent_seq) == (f"run-1/planner/{planner.attempt}", 0)
        assert started.event.logged == {}
        assert finished.final(1).logged == {"late": [1.5]}


def test_a_copy_keeps_what_its_run_is_labelled_with() -> None:
    """A recorder that is pickled into a worker has the labels, tags and parent of the first."""
    recorder, _ = recorder_on(labels={"a": "b"}, tags="one", parent="r/p/1")
    for copied in (pickle.loads(pickle.dumps(recorder)), deepcopy(recorder)):
        seen = copied.bus.subscribe("copy")
        with copied:
            started = seen.get(5).event
        assert (started.labels, started.tags, started.parent) == ({"a": "b"}, ["one"], "r/p/1")
        seen.close()


@pytest.mark.parametrize(
    "options",
    [
        {"labels": {"a": "x" * (MAX_TEXT + 1)}},
        {"labels": 7},
        {"tags": 7},
        {"parent": "planner"},
        {"parent": "r/a/x"},
        {"parent": "r/a/1", "parent_seq": -1},
        {"parent": "r/a/1", "parent_seq": "0"},
        {"parent_seq": 0},
    ],
    ids=" ".join,
)
def test_what_a_run_cannot_be_labelled_with_is_an_error_at_once(options: dict[str, Any]) -> None:
    """A configuration is checked when it is given, with a sentence."""
    with pytest.raises(ConfigError):
        recorder_on(**options)


@pytest.mark.parametrize("observations", [np.zeros((3, 1)), ["a", "b", "c"]], ids=["array", "text"])
@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"split": "train"}, [{"split": "train"}] * 2),
        ([{"n": 0}, {"n": 1}, None], [{"n": "0"}, {}]),
        ([{"n": 0}], [{"n": "0"}, {}]),
        (7, [{}, {}]),
    ],
    ids=["all", "each", "too few", "none"],
)
def test_labels_of_a_vector_reset(observations: Any, labels: Any, kept: list[dict[str, str]]) -> None:
    """A mapping is of every episode that begins, a list has one a row; what it lacks is left out and said."""
    recorder, subscription = recorder_on()
    recorder.reset_vector(observations, mask=[True, False, True], labels=labels)
    rows, _ = read(recorder, subscription)
    assert [(row["env"], dict(row["labels"])) for row in rows] == [(0, kept[0]), (2, kept[1])]
    assert recorder.stats()["dropped"] == 0
    said = recorder.stats()["complaints"]
    assert isinstance(said, dict)
    assert set(said) == ({"left out labels"} if labels in ([{"n": 0}], 7) else set())
