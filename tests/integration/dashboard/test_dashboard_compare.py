"""Comparisons of runs and groups of rollouts, checked against numpy and the definitions."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runbus.clickhouse.tables import EPISODES, METRICS, RUNS
from runbus.recorder import Metrics, RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.metric_batch import encode
from tests.integration.clickhouse.conftest import Store, body
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page
from tests.integration.dashboard.test_dashboard_runs import started

pytestmark = pytest.mark.integration

ARMS, TASKS, SEEDS = ("dqn", "ppo"), ("swim", "walk"), 5
REPLICATES = 200
MORE: dict[str, Any] = {"labels": {}, "stop": "", "has_reset": True}
Scores = dict[tuple[str, str], NDArray[np.float64]]


@pytest.fixture(scope="module")
def scores(store: Store) -> Scores:
    """Return the scores by arm and task, in the order of the seeds; each run has three episodes of that mean."""
    random = np.random.default_rng(7)
    found, events, episodes = {}, [], []
    for number, (arm, task) in enumerate(itertools.product(ARMS, TASKS)):
        found[arm, task] = random.normal(number, 2.0, SEEDS).round(3)
        for seed, score in enumerate(found[arm, task].tolist()):
            run = f"compare-{arm}-{task}-{seed}"
            config = json.dumps({"algo": arm, "seed": seed, "net": {"width": 64}})
            events.append(started(run, seed, config=config, labels={"env": task}))
            returns = enumerate((score - 1.0, score, score + 1.0))
            episodes += [finalised(run, episode=n, return_=value) | MORE for n, value in returns]
            episodes.append(finalised(run, episode=3, return_=999.0, reason="interrupted") | MORE)
    store.insert(RUNS, [body("RunEvent", event) for event in events])
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in episodes])
    return found


def ask(page: Page, path: str = "/compare", **more: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of a comparison by their arm."""
    asked = {"q": "/^compare-/", "group": "algo", "strata": "env", "replicates": REPLICATES} | more
    columns = page.get(path, **asked)["columns"]
    return {arm: {name: values[i] for name, values in columns.items()} for i, arm in enumerate(columns["arm"])}


def iqm(pool: NDArray[np.float64]) -> Any:
    """Return the mean of the middle half, along the last axis: a quarter is cut off at either end."""
    cut = pool.shape[-1] // 4
    return np.sort(pool)[..., cut : pool.shape[-1] - cut].mean(axis=-1)


def test_means_and_intervals_are_numpys(page: Page, store: Store, scores: Scores) -> None:
    """Of all scores; an interval from the draws that the hash names, which numpy resamples alike."""
    rows = ask(page)
    draw = "SELECT toInt64(cityHash64({arm:String}, {task:String}, toInt64(0), r, p) % 5) FROM ("
    draw += "SELECT arrayJoin(range(toUInt32({n:UInt32}))) AS r, arrayJoin(range(toUInt64(5))) AS p) ORDER BY r, p"
    for arm in ARMS:
        pool = np.concatenate([scores[arm, task] for task in TASKS])
        assert rows[arm]["mean"] == pytest.approx(pool.mean())
        assert rows[arm]["median"] == pytest.approx(np.median(pool))
        assert rows[arm]["iqm"] == pytest.approx(iqm(pool))
        drawn = []
        for task in TASKS:
            places = [row[0] for row in store.rows(draw, arm=arm, task=task, n=REPLICATES)]
            drawn.append(scores[arm, task][np.array(places).reshape(REPLICATES, SEEDS)])
        resampled = np.concatenate(drawn, axis=1)
        for name, of in (
            ("mean", resampled.mean(axis=1)),
            ("median", np.median(resampled, axis=1)),
            ("iqm", iqm(resampled)),
        ):
            assert [rows[arm][f"{name}_low"], rows[arm][f"{name}_high"]] == pytest.approx(
                np.quantile(of, [0.025, 0.975])
            )


def test_the_same_question_has_the_same_answer(page: Page, scores: Scores) -> None:
    """Nothing is random; an arm does not depend on which others are shown."""
    whole = ask(page)
    assert ask(page) == whole
    assert ask(page, q="/^compare-/ algo:ppo") == {"ppo": whole["ppo"]}


def test_few_seeds_are_points(page: Page, scores: Scores) -> None:
    """With three runs in a stratum there is no interval."""
    row = ask(page, q="/^compare-/ algo:ppo seed<3")["ppo"]
    assert row["seeds"] == 3
    assert len(row["scores"]) == 6
    assert row["iqm"] is not None
    assert row["iqm_low"] is row["iqm_high"] is row["mean_low"] is None


def test_the_newest_episodes_count(page: Page, scores: Scores) -> None:
    """`over` says how many; those that were cut short are none."""
    one, every = ask(page, over=1), ask(page, over=0)
    assert one["ppo"]["mean"] == pytest.approx(every["ppo"]["mean"] + 1.0)
    assert every["ppo"]["episodes"] == 3 * SEEDS * len(TASKS)


def test_curves_are_comparisons_in_each_bin(page: Page, scores: Scores) -> None:
    """On the axis of episodes the first bin has the first episode of each run."""
    answer = page.get("/compare/curve", q="/^compare-/", group="algo", x="episode", bins=4, replicates=50)
    columns = answer["columns"]
    assert answer["width"] == 1
    assert list(zip(columns["arm"], columns["bin"], strict=True)) == list(itertools.product(ARMS, (0, 1, 2)))
    mean = np.concatenate([scores["dqn", task] for task in TASKS]).mean()
    assert columns["mean"][:3] == pytest.approx([mean - 1, mean, mean + 1])
    assert columns["seeds"] == [10] * 6


def test_which_arm_is_better(page: Page, scores: Scores) -> None:
    """The share of pairs of the same task in which one scores more; the other way round it is the rest."""
    columns = page.get("/compare/better", q="/^compare-/", group="algo", strata="env", replicates=50)["columns"]
    pairs = list(zip(columns["arm"], columns["other"], columns["probability"], strict=True))
    shares = [float((scores["dqn", task][:, None] > scores["ppo", task][None]).mean()) for task in TASKS]
    assert pairs == [("dqn", "ppo", pytest.approx(np.mean(shares))), ("ppo", "dqn", pytest.approx(1 - np.mean(shares)))]
    assert columns["low"][0] <= columns["probability"][0] <= columns["high"][0]


def test_what_differs_in_the_configurations(page: Page, scores: Scores) -> None:
    """Only what is not the same in all of them."""
    runs = ["compare-ppo-walk-0", "compare-dqn-walk-1"]
    answer = page.get("/compare", run=runs)
    assert answer["columns"]["arm"] == sorted(runs)
    assert answer["differs"] == {
        "algo": {"compare-dqn-walk-1": "dqn", "compare-ppo-walk-0": "ppo"},
        "seed": {"compare-dqn-walk-1": 1, "compare-ppo-walk-0": 0},
    }
    assert page.raw("/compare", run="nobody").status_code == 404


def test_groups_of_rollouts(page: Page, store: Store) -> None:
    """Spread, the groups that teach nothing, and pass@k as it is defined."""
    passed = {"easy": 8, "hard": 1, "never": 0, "mixed": 5}
    episodes = []
    for number, (group, count) in enumerate(passed.items()):
        for sample in range(8):
            one = finalised("rollouts", episode=8 * number + sample, return_=float(sample < count))
            episodes.append(one | MORE | {"labels": {"group": group, "policy": "1"}})
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in episodes])
    answer = page.get("/groups", run="rollouts", k=[1, 4, 16], sort="passed")
    rows = {group: i for i, group in enumerate(answer["columns"]["group"])}
    assert list(rows) == ["easy", "mixed", "hard", "never"]
    assert (answer["groups"], answer["zero_variance"], answer["rollouts"]) == (4, 2, 32)
    for group, c in passed.items():
        at = answer["columns"]["pass_at"][rows[group]]
        assert at == [*(pytest.approx(1 - math.comb(8 - c, k) / math.comb(8, k)) for k in (1, 4)), None]
    assert answer["columns"]["best"][rows["hard"]][3] == 8
    first = page.get("/groups", run="rollouts", most=3, sort="passed")
    rest = page.get("/groups", run="rollouts", most=3, sort="passed", after=first["next"])
    assert first["columns"]["group"] + rest["columns"]["group"] == list(rows)


def test_groups_go_by_what_was_judged_late(page: Page, store: Store) -> None:
    """The return with late rewards, or one score; an episode without that score is in no group."""
    store.insert(
        EPISODES,
        [
            body(
                "EpisodeFinalized",
                finalised("judged", episode=n, return_=1.0) | MORE | {"labels": {"group": f"g{n // 4}"}},
            )
            for n in range(8)
        ],
    )
    bus = RunBus()
    seen = bus.subscribe("test")
    with Metrics("judged", source="judge", bus=bus, kafka=False) as judge:
        for n in range(6):
            judge.score(n / 10, name="taste", agent="agent-0", episode=n)
        judge.score(2.0, agent="agent-0", episode=5)
    batches = [event for event in seen.get_many(100) if isinstance(event, MetricsRecorded)]
    store.insert(METRICS, [encode(event.batch()) for event in batches])

    def of(score: str) -> tuple[dict[str, list[float]], int]:
        answer = page.get("/groups", run="judged", score=score)
        return dict(zip(answer["columns"]["group"], answer["columns"]["returns"], strict=True)), answer["zero_variance"]

    assert of("return") == ({"g0": [1.0] * 4, "g1": [1.0] * 4}, 2)
    assert of("return_scored") == ({"g0": [1.0] * 4, "g1": [1.0, 1.0, 1.0, 3.0]}, 1)
    assert of("taste") == ({"g0": [0.0, 0.1, 0.2, 0.3], "g1": [0.4, 0.5]}, 0)
    assert of("nobody") == ({}, 0)
