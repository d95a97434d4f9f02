"""Stream apps of users: what their names may be, and what follows from them."""

from __future__ import annotations

import pytest

from runbus.config.errors import ConfigError
from runbus.cursors.own_groups import Names
from runbus.kafka.principals import PRINCIPALS, ROLES, ResourceNames, principal_names
from runbus.kafka.stream_apps import OWN_APPS
from runbus.kafka.topics import EPISODES_STATE, TOPICS
from runbus.kafka.user_apps import all_principals, all_topics, user_app, user_apps

APPS = user_apps("success-rate; crashes;success-rate;")
NAMES = ResourceNames("lab.")


def test_a_list_of_names_is_a_list_of_apps() -> None:
    """Spaces, an empty part and a repeated name change nothing."""
    assert [app.name for app in APPS] == ["success-rate", "crashes"]
    assert user_apps("") == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Rates", "lower-case letters"),
        ("9rates", "begins with a letter"),
        ("rates-", "lower-case letters"),
        ("a" * 41, "1 to 40"),
        ("lab/rates", "lower-case letters"),
        ("rates-state-changelog", "does not end in '-changelog'"),
        *((taken, "RunBus has a topic or a role of that name") for taken in ("episodes", "sink", "reader", "steps")),
    ],
)
def test_a_name_that_would_be_taken_for_another_is_refused(name: str, reason: str) -> None:
    """One sentence, with the variable where it was a list."""
    with pytest.raises(ConfigError, match=reason):
        user_app(name)
    with pytest.raises(ConfigError, match=f"^RUNBUS_STREAM_APPS: stream app '{name[:40]}.*{reason}"):
        user_apps(f"ok;{name}")


def test_an_app_has_a_topic_of_results_and_one_of_state() -> None:
    """The state is kept as ours is; no two topics of an installation share a name."""
    topics = {topic.name: topic for topic in all_topics(APPS)}
    assert len(topics) == len(TOPICS) + 4
    state = topics["success-rate-state-changelog"]
    assert (state.partitioned, state.config()) == (True, EPISODES_STATE.config())
    assert (topics["success-rate"].partitioned, topics["success-rate"].schema) == (True, None)


def test_an_app_has_the_rights_that_ours_have_on_what_is_its_own() -> None:
    """And readers may read what it writes, and see how far it is."""
    found = {p.role: [right.said(NAMES) for right in p.rights] for p in all_principals(APPS)}
    ours = [right.replace("episodes", "crashes") for right in found["episodes"]]
    assert found["crashes"] == ours
    assert "Write on TransactionalId lab.crashes-lab.steps-*" in found["crashes"]
    added = {"Read on Topic lab.crashes", "Describe on Group lab.crashes"}
    assert added <= set(found["reader"])
    assert all_principals(()) == PRINCIPALS


def test_its_user_has_a_name_like_the_others() -> None:
    """Of the installation's roles only."""
    names = principal_names("crashes=User:CN=crashes", (*ROLES, *(app.name for app in APPS)))
    assert (names["crashes"], names["success-rate"]) == ("User:CN=crashes", "User:runbus-success-rate")
    with pytest.raises(ConfigError, match="crashes=User"):
        principal_names("crashes=User:CN=crashes")


def test_cursors_know_its_group_and_its_topics() -> None:
    """As those of ours; where the installation does not name it, it is a user's group like any other."""
    names = Names("lab.", "lab.sink", (*OWN_APPS, *APPS))
    assert names.own_groups() == (
        "lab.sink", "lab.episodes", "lab.live-metrics", "lab.success-rate", "lab.crashes",
    )  # fmt: skip
    assert (names.kind("lab.crashes"), names.read_by("lab.crashes")) == ("crashes", ("lab.steps",))
    assert "lab.crashes" in names.readable()
    assert "lab.crashes-state-changelog" not in names.readable()
    assert "lab.episodes-state-changelog" not in names.readable()
    state = names.of_catalogue("lab.crashes-state-changelog")
    assert state is not None
    assert state.cleanup == "compact"
    assert Names("lab.", "lab.sink").kind("lab.crashes") == "user"
