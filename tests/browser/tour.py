"""Names the views that every general test, and every series of pictures, goes through."""

from __future__ import annotations

from typing import NamedTuple

from runbus.local.stack import Endpoints
from tests.browser.asked import address, episode_address
from tests.browser.stories import SEEDS


class Stop(NamedTuple):
    """One view: its address, a text that says that its data is there, and problems that belong to it."""

    address: str
    shows: str
    expected: tuple[str, ...] = ()


_LEARNED = [f"{algorithm}-{seed}" for algorithm in ("ppo", "dqn") for seed in range(SEEDS)]
NAMES = (
    "runs",
    "runs-grouped",
    "runs-none",
    "run",
    "run-odd",
    "run-unknown",
    "episode-vector",
    "episode-image",
    "episode-grid",
    "episode-talk",
    "episode-tree",
    "episode-left-out",
    "episodes-beside",
    "world",
    "compare",
    "compare-none",
    "groups",
    "health",
)


def stop(endpoints: Endpoints, name: str) -> Stop:
    """Return a view of the runs of stories.py."""
    match name.partition("-"):
        case ("episode", _, "talk"):
            return Stop(episode_address(endpoints, "talk"), "Let me book it")
        case ("episode", _, "tree"):
            return Stop(episode_address(endpoints, "talk", view="tree"), "search")
        case ("episode", _, kind):
            run = {"vector": "ppo-0", "image": "images"}.get(kind, kind)
            return Stop(episode_address(endpoints, run, step=4), "Return")
        case ("episodes", _, _):
            base = episode_address(endpoints, "ppo-0", step=4)
            return Stop(f"{base}&with={_other(base)}", "First difference")
    return {
        "runs": Stop("/?q=-scale", "ppo-0"),
        "runs-grouped": Stop(
            address("/", {"q": "algo:ppo,dqn", "group": "algo", "base": "ppo-0", "pin": "talk"}), "baseline"
        ),
        "runs-none": Stop(address("/", {"q": "algo:sarsa"}), "No run has"),
        "run": Stop(address("/run", {"run": "ppo-0"}), "Return"),
        "run-odd": Stop(address("/run", {"run": "odd-numbers", "x": "episode"}), "Return"),
        "run-unknown": Stop(address("/run", {"run": "ppo-99"}), "ppo-0", ("404",)),
        "world": Stop(address("/world", {"run": "team", "env": 0, "episode": 0, "tick": 4}), "player-1"),
        "compare": Stop(
            address("/compare", {"runs": "/".join(_LEARNED), "group": "config.algo", "x": "episode"}), "Which is better"
        ),
        "compare-none": Stop("/compare", "Nothing is chosen to compare"),
        "groups": Stop(address("/groups", {"run": "talk", "by": "task"}), "trip-0"),
        "health": Stop("/health", "sink"),
    }[name]


def _other(where: str) -> str:
    """Return the next episode of the same stream, as the address of another one beside it."""
    values = dict(pair.split("=") for pair in where.partition("?")[2].split("&"))
    return f"{values['agent']}/{values['attempt']}/0/1"
