"""What a vector call says beside its arrays: same-step resets, infos, a subset of the environments, named numbers."""

import json
from typing import Any

import numpy as np
import pytest

from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.recorder.vector_infos import row_infos
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of


def rows_after(calls: Any, **options: Any) -> tuple[list[RecordedRow], dict[str, Any]]:
    """Return every row that these calls leave, and the recorder's counts."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False, **options)
    calls(recorder)
    recorder.close()
    return [row for batch in batches_of(subscription.get_many(1000)) for row in rows_of(batch)], recorder.stats()


def same_step(recorder: Recorder, infos: Any, observations: Any = None) -> None:
    """Record a reset of three environments and a call in which env 1 ends and shows the reset of its next episode."""
    recorder.reset_vector(np.zeros((3, 2), np.float32))
    shown = np.array([[1, 1], [9, 9], [3, 3]], np.float32) if observations is None else observations
    done = np.array([False, True, False])
    recorder.step_vector(np.arange(3), np.arange(3) + 0.5, done, done & False, shown, resets=done, infos=infos)
    recorder.step_vector(np.arange(3), np.ones(3), [False] * 3, [False] * 3, np.zeros((3, 2), np.float32))


OBJECTS = np.array([None, np.array([2, 2], np.float32), None], dtype=object)
MASK = np.array([False, True, False])


@pytest.mark.parametrize(
    "infos",
    [
        {"final_obs": OBJECTS, "_final_obs": MASK},
        {"final_observation": OBJECTS, "_final_observation": MASK},
        {"final_obs": np.array([[7, 7], [2, 2], [8, 8]], np.float32)},
        {"final_obs": np.array([None, np.array([2, 2], np.float64), None], dtype=object)},
        [{}, {"final_obs": np.array([2, 2], np.float32)}, {}],
        [{}, {"final_obs": [2, 2]}, {}],
    ],
    ids=["1.x", "0.29", "one array", "another float", "list", "plain list"],
)
def test_an_end_and_the_reset_behind_it_are_two_rows(infos: Any) -> None:
    """Same-step autoreset: the last step has its own observation, and the next episode begins with the one shown."""
    rows, stats = rows_after(lambda recorder: same_step(recorder, infos))
    assert [row.seq for row in rows] == list(range(10))
    assert [row.at for row in rows if row.env == 1] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [row.at for row in rows if row.env == 2] == [(0, 0), (0, 1), (0, 2)]
    _, last, first, _ = (row for row in rows if row.env == 1)
    assert (last.observation.tolist(), last.reward, last.over) == ([2, 2], 1.5, (True, False))
    assert last.observation.dtype == np.float32
    assert last.action == 1
    assert (first.observation.tolist(), first.reward, first.over) == ([9, 9], 0, (False, False))
    assert stats["complaints"] == {}


@pytest.mark.parametrize(
    "infos",
    [
        None,
        {},
        {"final_obs": OBJECTS, "_final_obs": ~MASK},
        {"final_obs": np.array([None] * 3, dtype=object)},
        {"final_obs": np.array([None, np.zeros(5), None], dtype=object)},
        [{}, {}, {}],
    ],
    ids=["none", "empty", "masked out", "no object", "another shape", "list"],
)
def test_a_last_observation_that_is_not_there_is_never_the_resets(infos: Any) -> None:
    """The last step keeps its action, reward and flags; that its observation exists and is unknown is visible."""
    rows, stats = rows_after(lambda recorder: same_step(recorder, infos))
    _, last, first, _ = (row for row in rows if row.env == 1)
    assert (last.at, last.reward, last.over) == ((0, 1), 1.5, (True, False))
    assert last.observation is ABSENT
    assert (first.at, first.observation.tolist()) == ((1, 0), [9, 9])
    assert [row.observation.tolist() for row in rows if row.at == (0, 1) and row.env != 1] == [
        [1, 1],
        [3, 3],
    ]
    assert (stats["produced"], stats["dropped"]) == (10, 0)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["dict", "text"])
def test_same_step_resets_of_other_observations(kind: str, known: bool) -> None:
    """Observations that are no array: the same rows."""

    def shown(value: int) -> Any:
        return {"a": np.full(2, value), "b": np.array(value, np.float64)} if kind == "dict" else f"at {value}"

    def batched(*values: int) -> Any:
        if kind == "text":
            return [shown(value) for value in values]
        return {"a": np.array([[v, v] for v in values]), "b": np.array(values, np.float64)}

    final = np.array([None, {"b": 2.0, "a": [2, 2]} if kind == "dict" else "at 2"], dtype=object)

    def loop(recorder: Recorder) -> None:
        recorder.reset_vector(batched(0, 0))
        infos = {"final_obs": final} if known else None
        recorder.step_vector(
            [0, 1], [0.5, 1.5], [False, True], [False] * 2, batched(1, 9), resets=[False, True], infos=infos
        )

    rows, stats = rows_after(loop)
    _, last, first = (row for row in rows if row.env == 1)
    assert (last.at, last.reward, first.at, stats["dropped"]) == (
        (0, 1),
        1.5,
        (1, 0),
        0,
    )
    assert repr(first.observation) == repr(shown(9))
    if known:
        assert repr(last.observation) == repr(shown(2))
    else:
        assert last.observation is ABSENT


def test_the_infos_of_an_end_and_of_the_reset_behind_it_are_kept_apart() -> None:
    """final_info and the episode's statistics belong to the last step, the rest to the reset."""
    infos = {
        "final_obs": OBJECTS,
        "_final_obs": MASK,
        "final_info": {"success": np.array([0, 1, 0]), "_success": MASK},
        "_final_info": MASK,
        "episode": {"r": np.array([0.0, 4.5, 0.0]), "_r": MASK},
        "_episode": MASK,
        "seen": np.array([1, 2, 3]),
        "_seen": np.array([True, True, False]),
    }
    rows, _ = rows_after(lambda recorder: same_step(recorder, infos))
    said = {(row.env, row.at): json.loads(row.info) for row in rows if row.info}
    assert said == {
        (0, (0, 1)): {"seen": 1},
        (1, (0, 1)): {"success": 1, "episode": {"r": 4.5}},
        (1, (1, 0)): {"seen": 2},
    }


def test_infos_come_apart_by_their_masks() -> None:
    """Each row has what its environment said, nested dicts included; names that begin with `_` are names."""
    mask = np.array([True, False, True])
    infos = {
        "a": np.array([1, 0, 3]),
        "_a": mask,
        "nested": {"x": np.array([[1, 2], [0, 0], [5, 6]]), "_x": mask, "o": np.array(["p", None, None], object)},
        "_nested": mask,
        "_own": np.array([7, 8, 9]),
        "__own": ~mask,
        "unmasked": [True, False, True],
        "log": {"loss": 0.5},
    }
    found = row_infos(infos, 3).infos
    assert [sorted(found[row]) for row in range(3)] == [
        ["a", "log", "nested", "unmasked"],
        ["_own", "unmasked"],
        ["a", "nested", "unmasked"],
    ]
    assert (found[0]["a"], found[1]["_own"], found[2]["unmasked"], found[0]["log"]) == (1, 8, True, {"loss": 0.5})
    assert found[0]["nested"]["o"] == "p"
    assert found[2]["nested"]["x"].tolist() == [5, 6]
    assert "o" not in found[2]["nested"]


def test_a_subset_of_the_environments_in_any_order() -> None:
    """`envs` names the environment of each row, for steps and resets, with a mask too."""

    def loop(recorder: Recorder) -> None:
        recorder.reset_vector(np.arange(4.0), envs=[3, 1, 0, 2], seeds=[33, 11, 0, 22], infos=[{"n": 3}, {}, {}, {}])
        recorder.step_vector([7, 8], [0.5, 1.5], [False] * 2, [True, False], np.array([30.0, 10.0]), envs=[3, 1])
        recorder.step_vector(
            [7, 8], [0.5, 1.5], [False] * 2, [False] * 2, [31.0, 20.0], envs=np.array([3, 2]), resets=[True, False]
        )
        recorder.reset_vector(np.array([5.0, 6.0]), envs=[1, 9], mask=[False, True])
        recorder.step_vector([1, 1], [0, 0], [False] * 2, [False] * 2, [0.0, 0.0], envs=range(2, 4))

    rows, stats = rows_after(loop)
    assert [(row.env, row.at, float(row.observation)) for row in rows] == [
        (3, (0, 0), 0.0),
        (1, (0, 0), 1.0),
        (0, (0, 0), 2.0),
        (2, (0, 0), 3.0),
        (3, (0, 1), 30.0),
        (1, (0, 1), 10.0),
        (3, (1, 0), 31.0),
        (2, (0, 1), 20.0),
        (9, (0, 0), 6.0),
        (2, (0, 2), 0.0),
        (3, (1, 1), 0.0),
    ]
    assert json.loads(rows[0].info or "") == {"n": 3}
    assert (stats["dropped"], stats["complaints"]) == (0, {})


@pytest.mark.parametrize(
    "envs", [[0], [0, 0], [-1, 0], [0.5, 1.5], [0, 2**31], "ab", range(3), range(0, 4, 3)], ids=repr
)
def test_envs_that_are_none_are_refused_with_one_sentence(envs: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Too few, repeated, negative or no indices at all: the rows count as dropped, and the loop goes on."""

    def loop(recorder: Recorder) -> None:
        recorder.step_vector([1, 2], [0, 0], [False] * 2, [False] * 2, np.zeros(2), envs=envs)

    rows, stats = rows_after(loop)
    if envs == range(0, 4, 3):
        assert [row.env for row in rows] == [0, 3]
    else:
        assert (rows, stats["dropped"]) == ([], 2)
        assert "envs must be 2 different indices" in caplog.text


@pytest.mark.parametrize("observations", [np.zeros((3, 1)), ["a", "b", "c"]], ids=["array", "text"])
def test_named_numbers_of_every_row(observations: Any) -> None:
    """Extras have a number for each environment, over several calls of a batch, beside what was logged.

    Those that have not are left out, which the rows say.
    """

    def loop(recorder: Recorder) -> None:
        none = [False] * 3
        recorder.step_vector(np.zeros(3), np.zeros(3), none, none, observations, extras={"value": np.arange(3.0)})
        recorder.step_vector(np.zeros(3), np.zeros(3), none, none, observations)
        recorder.log({"loss": 0.25})
        extras: dict[str, Any] = {"value": np.array([np.nan, 1, 2], np.float32), "logp": [-1, -2, -3]}
        recorder.step_vector(np.zeros(3), np.zeros(3), none, none, observations, extras=extras)
        recorder.step_vector(np.zeros(3), np.zeros(3), none, none, observations, extras={"value": [1.0, 2.0]})

    rows, stats = rows_after(loop)
    assert [row.extras.get("value") for row in rows[:6]] == [0, 1, 2, None, None, None]
    assert np.isnan(rows[6].extras.pop("value"))
    assert rows[6].extras == {"loss": 0.25, "logp": -1}
    assert [row.extras for row in rows[7:9]] == [{"value": 1, "logp": -2}, {"value": 2, "logp": -3}]
    assert [row.extras for row in rows[9:]] == [{"left_out.extras": 1}] * 3
    assert stats["dropped"] == 0
