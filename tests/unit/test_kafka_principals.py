"""The catalogue of rights: full names, names that an installation gives, and what is refused."""

import pytest

from runbus.config.errors import ConfigError
from runbus.kafka.principals import PRINCIPALS, ROLES, ResourceNames, principal, principal_names
from runbus.kafka.topics import TOPICS


def test_every_role_has_one_entry_with_different_rights() -> None:
    """A role is a principal, and no right is listed twice."""
    assert tuple(p.role for p in PRINCIPALS) == ROLES
    for entry in PRINCIPALS:
        assert len({r.said(ResourceNames("runbus.")) for r in entry.rights}) == len(entry.rights)


def test_every_topic_has_somebody_who_writes_and_somebody_who_reads_it() -> None:
    """A topic that no role may write or read is a right that was forgotten."""
    for operation in ("Read", "Write"):
        rights = [r for p in PRINCIPALS for r in p.rights if r.resource == "Topic" and not r.prefixed]
        assert {r.name for r in rights if r.operation == operation} == {topic.name for topic in TOPICS}


def test_only_its_app_writes_a_state_and_only_who_records_writes_the_steps() -> None:
    """Least rights: one writer for each state and result, and no app that could rewrite its own input.

    The watchdog records its canary, and looks at the times of steps.
    """
    writers: dict[str, list[str]] = {}
    for entry in PRINCIPALS:
        for right in entry.rights:
            if right.operation == "Write" and right.resource == "Topic":
                writers.setdefault(right.name, []).append(entry.role)
    assert writers["steps"] == writers["runs"] == ["recorder", "controlled-recorder", "journaled-recorder", "watchdog"]
    assert writers["control"] == ["operator"]
    assert writers["annotations"] == ["dashboard", "annotator"]
    assert writers["episodes"] == writers["episodes-state-changelog"] == ["episodes"]
    assert writers["live-metrics"] == writers["live-metrics-state-changelog"] == ["live-metrics"]
    assert not {r.operation for r in principal("reader").rights} & {"Write", "Create", "Alter", "AlterConfigs"}
    assert {r.operation for r in principal("recorder").rights} == {"Write"}


def test_names_follow_the_prefix_and_the_sinks_group() -> None:
    """What is said is what the broker knows."""
    sink = [right.said(ResourceNames("t.", "loaders")) for right in principal("sink").rights]
    assert "Read on Topic t.steps" in sink
    assert "Read on Group loaders" in sink
    assert "Read on Group t.sink" in [right.said(ResourceNames("t.")) for right in principal("sink").rights]
    episodes = [right.said(ResourceNames("t.")) for right in principal("episodes").rights]
    assert "Write on TransactionalId t.episodes-t.steps-*" in episodes
    assert "Alter on Cluster kafka-cluster" in [right.said(ResourceNames("t.")) for right in principal("admin").rights]


def test_without_a_prefix_the_admin_has_every_topic() -> None:
    """A prefix of nothing is no prefixed right for Kafka; `*` is."""
    assert "Create on Topic *" in [right.said(ResourceNames("")) for right in principal("admin").rights]
    assert "Write on Topic steps" in [right.said(ResourceNames("")) for right in principal("recorder").rights]


def test_principals_have_names_of_the_installation() -> None:
    """Users by default, a distinguished name with commas where one is given."""
    names = principal_names("recorder=User:CN=agent,O=Some Lab; sink=User:loader;")
    assert names["recorder"] == "User:CN=agent,O=Some Lab"
    assert names["sink"] == "User:loader"
    assert names["live-metrics"] == "User:runbus-live-metrics"


@pytest.mark.parametrize("text", ["recorder", "writer=User:x", "sink=loader", "sink=User:"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    """It says which pair, and which roles there are."""
    with pytest.raises(ConfigError, match=r"RUNBUS_PRINCIPALS: .*recorder, sink, episodes"):
        principal_names(text)


def test_a_role_without_rights_is_told_where_they_go() -> None:
    """Who adds a process reads where its rights are written down."""
    with pytest.raises(LookupError, match="add a Principal"):
        principal("counter")  # type: ignore[arg-type]
