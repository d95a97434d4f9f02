"""Reads the questions of the page: one .sql file each, with ClickHouse's own {name:Type} places.

A file may have `$name` places too. They take pieces of SQL of this package, never a value that came from outside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Template

from runbus.dashboard.history.stitch import Below

_PLACE = re.compile(r"\{(\w+):([^{}]+)\}")
#: What is below the offsets that the sink has committed: all of it is stored (stitch.py).
_BELOW = """(
        {$name_topic:String} NOT IN ('', kafka_topic_id) OR kafka_offset < transform(
            kafka_partition,
            mapKeys({$name:Map(Int32, Int64)}),
            mapValues({$name:Map(Int32, Int64)}),
            toInt64(9223372036854775807)
        )
    )"""
#: The same of steps, runs or episodes, and of episodes where a statement is about steps too.
BELOW = _BELOW.replace("$name", "below")
BELOW_EPISODES = _BELOW.replace("$name", "below_episodes")

#: Of each episode the newest revision, as the view episodes_latest has it; the view cannot be asked for the rows below
#: an offset.
NEWEST = """ORDER BY run_id, agent_id, attempt, env, episode, revision DESC, kafka_offset DESC
    LIMIT 1 BY run_id, agent_id, attempt, env, episode"""


@cache
def text(name: str) -> str:
    """Return the SQL of a file, with where the past ends and what the rows of an episode are filled in."""
    episode = Template(_file("of_episode")).substitute(below=BELOW)
    return Template(_file(name)).safe_substitute(
        below=BELOW, below_episodes=BELOW_EPISODES, newest=NEWEST, episode=episode
    )


def _file(name: str) -> str:
    return (resources.files(__package__) / "queries" / f"{name}.sql").read_text(encoding="utf-8").rstrip()


def filled(name: str, **pieces: str) -> str:
    """Return the SQL of a file with its other `$name` places filled in. Raises KeyError if one is left."""
    return Template(text(name)).substitute(pieces)


def bound(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as the client takes them: it would write a map as JSON, whose keys are no numbers."""
    return {name: _map(value) if isinstance(value, Mapping) else value for name, value in _whole(parameters).items()}


def _map(value: Mapping[object, object]) -> str:
    return "{" + ",".join(f"{key}:{item}" for key, item in value.items()) + "}"


def _whole(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return parameters with the topic id beside each place where the past ends."""
    maps = {name: value for name, value in parameters.items() if isinstance(value, Mapping)}
    ids = {f"{name}_topic": value.topic_id if isinstance(value, Below) else "" for name, value in maps.items()}
    return {**parameters, **ids}


def written_out(sql: str, parameters: Mapping[str, object]) -> str:
    """Return a statement with its values in it: what a person pastes into `runbus query`."""
    whole = _whole(parameters)
    return _PLACE.sub(lambda place: _literal(whole[place[1]], place[2]), sql)


def _literal(value: object, kind: str) -> str:
    plain = isinstance(value, (bool, str)) or (isinstance(value, (int, float)) and math.isfinite(value))
    return _in_sql(value) if plain else f"CAST({_in_sql(value)} AS {kind})"


def _in_sql(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"map({', '.join(f'{_in_sql(key)}, {_in_sql(inner)}' for key, inner in value.items())})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_in_sql, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)
