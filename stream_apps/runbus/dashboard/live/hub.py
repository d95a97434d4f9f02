"""Numbers what changes, and answers "what changed since": the state that all clients share. Pure.

There is no queue for a client. Each has a revision, and asks for what is newer. So memory follows the number of rows
and not of clients, and who is slow gets one larger difference, with each row once and as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Keys that are gone are remembered for so many revisions; who comes back from before gets everything.
_MOST_GONE = 4096


class Channel:
    """The keys of one kind of rows, in the order of their last change."""

    def __init__(self) -> None:
        self._revision: dict[str, int] = {}  # ascending: a key that changes moves to the end
        self._gone: dict[str, int] = {}
        #: The differences of clients that are older than this have to be everything.
        self.floor = 0

    def __len__(self) -> int:
        return len(self._revision)

    def revision_of(self, key: str) -> int:
        """Return the revision of a key's last change."""
        return self._revision[key]

    def touch(self, key: str, revision: int) -> None:
        """A row is new, or another one than before."""
        self._revision.pop(key, None)
        self._gone.pop(key, None)
        self._revision[key] = revision

    def drop(self, key: str, revision: int) -> None:
        """A row is gone."""
        if self._revision.pop(key, None) is None:
            return
        self._gone[key] = revision
        while len(self._gone) > _MOST_GONE:
            oldest = next(iter(self._gone))
            self.floor = self._gone.pop(oldest)

    def forget(self, key: str) -> None:
        """A row leaves this memory without being gone: who did not get it has to ask for everything, elsewhere too."""
        self.floor = max(self.floor, self._revision.pop(key, 0))

    def changed(self, since: int, until: int) -> list[str]:
        """Return the keys whose last change is in (since, until], the newest first."""
        return list(_between(self._revision, since, until))

    def gone(self, since: int, until: int) -> list[str]:
        """Return the keys that went in (since, until]."""
        return list(_between(self._gone, since, until))


class Hub:
    """All channels, and one counter of changes."""

    def __init__(self) -> None:
        self.revision = 0
        self._channels: dict[str, Channel] = {}

    def channel(self, name: str) -> Channel:
        """Return a channel; it is there before its first row."""
        found = self._channels.get(name)
        if found is None:
            found = self._channels[name] = Channel()
            found.floor = self.revision  # rows that were there before it count as new to everybody
        return found

    def forget(self, name: str) -> None:
        """Take a channel that nobody looks at any more out of memory."""
        self._channels.pop(name, None)

    def touch(self, channel: str, key: str) -> None:
        """A row is new, or another one than before."""
        self.revision += 1
        self.channel(channel).touch(key, self.revision)

    def drop(self, channel: str, key: str) -> None:
        """A row is gone."""
        self.revision += 1
        self.channel(channel).drop(key, self.revision)


def _between(revisions: dict[str, int], since: int, until: int) -> Iterator[str]:
    for key, revision in reversed(revisions.items()):
        if revision <= since:
            return
        if revision <= until:
            yield key
