"""Says which records a reader wants: of which topics, of which partitions, with which keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from runbus.config.errors import ConfigError, InvalidValue
from runbus.kafka.partitioner import partition_of
from runbus.kafka.topics import METRICS, STEPS, check_id, stream_key
from runbus.reader.events import KINDS

_MAGIC = re.compile(r"[*?\[]")
_KNOWN = 10_000  # keys whose answer is kept
#: how the keys of a topic begin that has no run
_OF_A_RUN = "run_id/"
#: the keys that keep what an agent, or a source of metrics, says in one partition
_KEYS_OF_STREAMS = (STEPS.key, METRICS.key)


class Selection:
    """What a reader wants.

    The key of a record decides, before its value is decoded. A record without a key of a run is of no run; one whose
    key has a run and no agent is about every agent of it.

    Args:
        prefix: of the topics.
        topics: without the prefix.
        run, agent: a name, or a pattern with `*`, `?` or `[...]`; None = all.

    Raises:
        ConfigError: a topic that no event is made of, or one that has no runs although a run or an agent is given.
    """

    def __init__(self, prefix: str, topics: Iterable[str], run: str | None, agent: str | None) -> None:
        self._prefix = prefix
        names = list(dict.fromkeys(topics))
        _check_topics(names, filtered=run is not None or agent is not None)
        self.topics = {prefix + name: KINDS[name] for name in names}
        self.run, self.agent = run, agent
        self._run, self._agent = _pattern("run", run), _pattern("agent", agent)
        self._known: dict[bytes, bool] = {}

    @property
    def everything(self) -> bool:
        """True if every record is wanted."""
        return self._run is None and self._agent is None

    @property
    def one_agent(self) -> bool:
        """True if run and agent are names: then one partition of each topic that is keyed by them holds all."""
        return _is_name(self.run) and _is_name(self.agent)

    def partitions(self, topic: str, count: int) -> range:
        """Return the partitions of a topic (with prefix) that can hold what is wanted.

        The key of `runs` has the attempt too, so each of its partitions can. So can each that holds a run: a run's
        agents are spread, and others may begin at any time.
        """
        if self.run is None or self.agent is None or not self.one_agent:
            return range(count)
        if self.topics[topic].topic.key not in _KEYS_OF_STREAMS:
            return range(count)
        only = partition_of(stream_key(self.run, self.agent), count)
        return range(only, only + 1)

    def wants(self, key: bytes | None) -> bool:
        """Return whether a record with this key is wanted."""
        if self.everything:
            return True
        found = self._known.get(key or b"")
        if found is None:
            found = self._matches(key or b"")
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key or b""] = found
        return found

    def _matches(self, key: bytes) -> bool:
        run, slash, rest = key.decode("utf-8", "replace").partition("/")
        agent = rest.partition("/")[0]
        return (
            bool(slash)
            and (self._run is None or self._run.fullmatch(run) is not None)
            and (not agent or self._agent is None or self._agent.fullmatch(agent) is not None)
        )


def _is_name(text: str | None) -> bool:
    return text is not None and _MAGIC.search(text) is None


def _pattern(what: str, text: str | None) -> re.Pattern[str] | None:
    """Return what a name has to match. Raises ConfigError if no run or agent can have it."""
    if text is None:
        return None
    try:
        check_id(f"{what}_id", text)
    except InvalidValue as error:
        raise ConfigError(str(error)) from error
    return re.compile(re.escape(text) if _is_name(text) else translate(text))


def _check_topics(names: list[str], *, filtered: bool) -> None:
    if not names:
        raise ConfigError(f"no topic is named: give some of {', '.join(KINDS)}")
    for name in names:
        if name not in KINDS:
            raise ConfigError(f"topic {name!r} cannot be read: there are {', '.join(KINDS)}, without a prefix")
        if filtered and not KINDS[name].topic.key.startswith(_OF_A_RUN):
            raise ConfigError(f"topic {name} has no runs and agents: read it with a reader without run= and agent=")
