"""Commands as an operator types them."""

import json

import pytest

from runbus.config.errors import ConfigError
from runbus.control.sending import CommandName, make_command, setting, topic_key


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        ("lr=0.001", "lr", 0.001),
        ("name=warm start", "name", "warm start"),
        ("layers=[1, 2]", "layers", [1, 2]),
        ("a=b=c", "a", "b=c"),
        ("empty=", "empty", ""),
        (" spaced =1", "spaced", 1),
    ],
)
def test_a_value_is_json_or_text(typed: str, key: str, value: object) -> None:
    """What is no JSON is text."""
    found_key, found = setting(typed)
    assert (found_key, json.loads(found)) == (key, value)


@pytest.mark.parametrize(
    ("typed", "says"), [("lr", "is not key=value"), ("=1", "is not key=value"), ("x=" + "y" * 5000, "send a path")]
)
def test_what_cannot_be_set_is_refused(typed: str, says: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=says):
        setting(typed)


def test_the_newest_command_about_a_thing_replaces_the_others() -> None:
    """Pause and resume are one thing, each key of `set` is one, each agent's are apart from everybody's."""
    asked: list[tuple[CommandName, str]] = [
        ("pause", ""),
        ("resume", ""),
        ("stop", ""),
        ("set", "lr"),
        ("set", "x/y"),
    ]
    keys = {topic_key(make_command("r", agent, name, key)) for agent in ("", "a") for name, key in asked}
    assert keys == {
        f"r/{agent}/{what}".encode() for agent in ("", "a") for what in ("pause", "stop", "set/lr", "set/x/y")
    }


def test_a_name_that_no_run_can_have_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="'/'"):
        make_command("a/b", "", "stop")
    with pytest.raises(ConfigError, match="agent_id"):
        make_command("a", "b/c", "stop")
