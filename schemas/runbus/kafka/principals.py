"""Lists the principals and their rights on the broker: one typed catalogue (docs/security.md).

A component has exactly these rights; a test takes each one away and looks at what the component says. Names are without
the topics' prefix; `Right.on` puts it in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from runbus.config.errors import ConfigError
from runbus.kafka.stream_apps import EPISODES_APP, LIVE_METRICS_APP, AppTopics
from runbus.kafka.topics import (
    ANNOTATIONS,
    CONTROL,
    DEAD_LETTERS,
    EPISODES,
    HEARTBEATS,
    LIVE_METRICS,
    METRICS,
    RUNS,
    STEPS,
    Topic,
)

Resource = Literal["Topic", "Group", "TransactionalId", "Cluster"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs"]
Role = Literal[
    "recorder",
    "controlled-recorder",
    "journaled-recorder",
    "sink",
    "episodes",
    "live-metrics",
    "watchdog",
    "dashboard",
    "reader",
    "operator",
    "annotator",
    "faust",
    "admin",
]

ROLES: tuple[Role, ...] = get_args(Role)
CLUSTER = "kafka-cluster"
SINK_GROUP = "sink"
#: The groups of readers (runbus.reader) begin so, behind the prefix: none can be that of the sink or of a stream app.
READERS = "reader."
#: What apps of Faust own (runbus.faust) begins so: their groups, the changelogs of their tables, topics of their own.
FAUST = "faust."
#: What Kafka calls all things of a kind; the name of an empty topic prefix.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Right:
    """One operation on one resource.

    Attributes:
        resource: what kind of thing.
        name: of the thing, without the topics' prefix.
        operation: Kafka's name. Read and Write contain Describe.
        why: what it is for.
        prefixed: everything whose name starts so, instead of that name.
    """

    resource: Resource
    name: str
    operation: Operation
    why: str
    prefixed: bool = False

    def on(self, names: ResourceNames) -> str:
        """Return the full name of the thing."""
        if self.resource == "Cluster":
            return CLUSTER
        if self.resource == "Group" and self.name == SINK_GROUP:
            return names.sink_group
        if self.resource == "TransactionalId":  # <group>-<topic>-<partition>, see runbus.streams.kafka
            return f"{names.prefix}{self.name}-{names.prefix}{STEPS.name}-"
        return names.prefix + self.name or EVERYTHING

    def said(self, names: ResourceNames) -> str:
        """Return it as one reads it: `Write on Topic runbus.steps`."""
        name = self.on(names)
        return f"{self.operation} on {self.resource} {name}{'*' if self.prefixed and name != EVERYTHING else ''}"


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """Names of topics and groups in one installation.

    Attributes:
        prefix: of topics, and of the groups of the stream apps.
        sink_group: of the sink; empty = the prefix and `sink`.
    """

    prefix: str
    group: str = ""

    @property
    def sink_group(self) -> str:
        """The consumer group of the sink."""
        return self.group or f"{self.prefix}{SINK_GROUP}"


@dataclass(frozen=True, slots=True)
class Principal:
    """One kind of client.

    Attributes:
        role: its name here: a Role, or the name of a user's stream app.
        doc: who uses it.
        rights: everything that it may do.
    """

    role: str
    doc: str
    rights: tuple[Right, ...]


def _topics(operation: Operation, why: str, *topics: Topic) -> tuple[Right, ...]:
    return tuple(Right("Topic", topic.name, operation, why) for topic in topics)


def stream_app_principal(app: AppTopics, doc: str) -> Principal:
    """Return the principal of a stream app."""
    rights = (
        *_topics("Read", "its input: steps, and which streams have ended", STEPS, RUNS),
        *_topics("Write", "its results", app.output),
        *_topics("Write", "what it cannot use; what it says of itself", DEAD_LETTERS, HEARTBEATS),
        *_topics("Read", "its state, taken back at a start", app.state),
        *_topics("Write", "its state", app.state),
        Right("Group", app.name, "Read", "its membership and its offsets"),
        Right("TransactionalId", app.name, "Write", "state, results and offset in one transaction", prefixed=True),
    )
    return Principal(app.name, doc, rights)


RECORDER = Principal(
    "recorder",
    "the process of an agent",
    (
        *_topics("Write", "what it records", STEPS, METRICS, RUNS),
        *_topics("Write", "what it says of itself; steps that no record can hold", HEARTBEATS, DEAD_LETTERS),
    ),
)
CONTROLLED_RECORDER = Principal(
    "controlled-recorder",
    "the process of an agent that takes commands (`Recorder(control=True)`)",
    (*RECORDER.rights, *_topics("Read", "commands of `runbus control`", CONTROL)),
)
JOURNALED_RECORDER = Principal(
    "journaled-recorder",
    "the process of an agent that delivers the journals of dead ones, and `runbus journal flush`",
    (
        *RECORDER.rights,
        *_topics("Read", "which steps of a dead process the log has", STEPS),
        Right("Group", READERS, "Describe", "its client looks for a coordinator; it joins no group", prefixed=True),
    ),
)
SINK = Principal(
    "sink",
    "`runbus sink`",
    (
        *_topics("Read", "what it stores", STEPS, METRICS, RUNS, EPISODES, HEARTBEATS, ANNOTATIONS, DEAD_LETTERS),
        *_topics("Write", "what it says of itself; what it cannot store", HEARTBEATS, DEAD_LETTERS),
        Right("Group", SINK_GROUP, "Read", "its membership and its offsets"),
    ),
)
WATCHDOG = Principal(
    "watchdog",
    "`runbus watchdog`",
    (
        *_topics("Read", "heartbeats, and the ends of streams", HEARTBEATS, RUNS),
        *_topics("Read", "what its canary becomes", EPISODES, LIVE_METRICS),
        *_topics(
            "Read",
            "the time of the record that a consumer should read next",
            *(STEPS, METRICS, DEAD_LETTERS, CONTROL, ANNOTATIONS),
        ),
        *_topics("Write", "its canary", STEPS, RUNS),
        *_topics("Write", "what it says", HEARTBEATS),
        *_topics("Write", "a step of its canary that no record can hold", DEAD_LETTERS),
        Right("Topic", "", "DescribeConfigs", "how long records are kept", prefixed=True),
        Right("Group", SINK_GROUP, "Describe", "how far the sink is"),
        Right("Group", "episodes", "Describe", "how far the app is"),
        Right("Group", "live-metrics", "Describe", "how far the app is"),
        Right("Group", READERS, "Describe", "how far readers are", prefixed=True),
    ),
)
_SHOWN = (STEPS, METRICS, RUNS, EPISODES, LIVE_METRICS, HEARTBEATS, DEAD_LETTERS, CONTROL, ANNOTATIONS)
_SHOWN_GROUPS = (
    Right("Group", SINK_GROUP, "Describe", "how far the sink is"),
    Right("Group", "episodes", "Describe", "how far the app is"),
    Right("Group", "live-metrics", "Describe", "how far the app is"),
)
DASHBOARD = Principal(
    "dashboard",
    "`runbus dashboard`",
    (
        *_topics("Read", "to show", *_SHOWN),
        *_SHOWN_GROUPS,
        Right("Group", READERS, "Describe", "its client looks for their coordinator; it joins none", prefixed=True),
        *_topics("Write", "what it says of itself", HEARTBEATS),
        *_topics("Write", "notes, tags and pins of whoever looks", ANNOTATIONS),
    ),
)
READER = Principal(
    "reader",
    "`runbus audit`, `runbus.reader`, notebooks and people",
    (
        *_topics("Read", "to show and to compare", *_SHOWN),
        *_SHOWN_GROUPS,
        Right("Group", READERS, "Read", "cursors of `runbus.reader`", prefixed=True),
    ),
)
OPERATOR = Principal(
    "operator",
    "`runbus control`",
    (
        *_topics("Write", "its commands", CONTROL),
        *_topics("Read", "to list what was asked", CONTROL),
    ),
)
ANNOTATOR = Principal(
    "annotator",
    "`runbus annotate`, `runbus.annotations`",
    (
        *_topics("Write", "notes, tags and pins, and their removal", ANNOTATIONS),
        *_topics("Read", "to list them", ANNOTATIONS),
    ),
)
FAUST_APPS = Principal(
    "faust",
    "apps of `runbus.faust`",
    (
        *_topics("Read", "what agents read", STEPS, METRICS, RUNS, EPISODES, LIVE_METRICS, HEARTBEATS, ANNOTATIONS),
        Right("Group", FAUST, "Read", "memberships and offsets", prefixed=True),
        Right("Topic", FAUST, "Create", "changelogs of tables and topics of their own, at a start", prefixed=True),
        Right("Topic", FAUST, "Read", "tables, taken back at a start", prefixed=True),
        Right("Topic", FAUST, "Write", "tables and results", prefixed=True),
    ),
)
ADMIN = Principal(
    "admin",
    "`runbus topics apply`, as a job",
    (
        *(
            Right("Topic", "", operation, "to create and configure the topics", prefixed=True)
            for operation in ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
        ),
        Right("Cluster", "", "Describe", "to list these rights"),
        Right("Cluster", "", "Alter", "to give these rights (--acls): a user with it can give itself every other"),
    ),
)

PRINCIPALS: tuple[Principal, ...] = (
    RECORDER,
    CONTROLLED_RECORDER,
    JOURNALED_RECORDER,
    SINK,
    stream_app_principal(EPISODES_APP, "`runbus episodes`"),
    stream_app_principal(LIVE_METRICS_APP, "`runbus live-metrics`"),
    WATCHDOG,
    DASHBOARD,
    READER,
    OPERATOR,
    ANNOTATOR,
    FAUST_APPS,
    ADMIN,
)


def principal(role: Role) -> Principal:
    """Return one of the catalogue. Raises LookupError if it is not there: a new process has its rights here."""
    found = next((p for p in PRINCIPALS if p.role == role), None)
    if found is None:
        raise LookupError(f"no rights of {role!r} in runbus/kafka/principals.py: add a Principal for it")
    return found


def principal_names(text: str, roles: Sequence[str] = ROLES) -> Mapping[str, str]:
    """Return what the broker calls each role: `User:runbus-<role>`, unless the text says otherwise.

    Args:
        text: `role=name` pairs with `;` between them: `recorder=User:CN=agent,O=lab;sink=User:loader`.
        roles: of the installation.

    Raises:
        ConfigError: an unknown role, or a name without its type.
    """
    names = {role: f"User:runbus-{role}" for role in roles}
    for pair in filter(None, (part.strip() for part in text.split(";"))):
        role, _, name = pair.partition("=")
        if role.strip() not in names or ":" not in name or not name.partition(":")[2]:
            raise ConfigError(
                f"RUNBUS_PRINCIPALS: {pair!r} is not role=User:name; the roles are {', '.join(roles)}, "
                "with `;` between two"
            )
        names[role.strip()] = name.strip()
    return names
