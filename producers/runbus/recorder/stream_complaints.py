"""Says what happened to the steps of one agent: the first of each kind in the log, with what to do; counts the rest.

It refers to no recorder, so whoever holds it keeps none alive.
"""

from __future__ import annotations

import logging

from runbus.recorder.complaints import Complaints


def first_line(text: str) -> str:
    """Return the first line of an error's text, at most 300 characters: some have pages."""
    return text.strip().split("\n")[0][:300]


class StreamComplaints:
    """The complaints of one recorder. Thread safe; never raises."""

    def __init__(self, log: logging.Logger, run: str, agent: str) -> None:
        self._complaints = Complaints(log)
        self._name = f"{run}/{agent}"

    def counts(self) -> dict[str, int]:
        """Return how often each kind came."""
        return self._complaints.counts()

    def refused(self, error: Exception) -> None:
        """A step cannot be recorded at all."""
        self._complaints.say(
            f"refused {type(error).__name__}",
            "a step of %s cannot be recorded: %s. It counts as dropped; pass numbers, arrays, text, or dicts and "
            "tuples of them",
            self._name,
            error,
        )

    def left_out(self, part: str, why: str) -> None:
        """A step is recorded without a part; `layout` = a column changes, which costs batches."""
        if part == "layout":
            self._complaints.say("layout", "%s: %s", self._name, why, level=logging.WARNING)
            return
        self._complaints.say(
            f"left out {part}",
            "%s: a step is recorded without its %s: %s. It says so in its extra left_out.%s",
            self._name,
            part,
            first_line(why),
            part,
        )

    def metrics_left_out(self, part: str, why: str) -> None:
        """A value of metrics is not recorded, or not as it was given."""
        self._complaints.say(
            f"left out {part}", "%s: something of its %s is left out: %s", self._name, part, first_line(why)
        )

    def unannounced(self, env: int) -> None:
        """A step came behind the end of its episode, without a reset."""
        self._complaints.say(
            "began without a reset",
            "env %d of %s was stepped behind the end of its episode: this step begins the next one, which has no "
            "reset. Call reset() after an end; if the environment resets itself, record it by resets= of step_vector",
            env,
            self._name,
            level=logging.WARNING,
        )

    def log_ignored(self, error: Exception) -> None:
        """Named numbers cannot be read."""
        self._complaints.say("log", "log(...) of %s was ignored: %s; pass names and numbers", self._name, error)

    def no_journal(self, error: OSError) -> None:
        """The journal cannot begin."""
        self._complaints.say(
            "no journal",
            "%s has no journal: %s. The agent goes on; if it is killed, what Kafka does not have is lost. Give it a "
            "folder on a local disk that it may write (RUNBUS_RECORDER_JOURNAL)",
            self._name,
            error,
        )

    def metrics_ignored(self, error: Exception) -> None:
        """A call of metrics cannot be read."""
        self._complaints.say(
            "metrics", "metrics(...) of %s was ignored: %s; pass a dict of names and numbers", self._name, error
        )

    def closed(self) -> None:
        """A row came after close()."""
        self._complaints.say(
            "closed",
            "recorder %s is closed: what comes after close() is counted, not recorded; make a new recorder for it",
            self._name,
        )

    def bus_stayed(self) -> None:
        """A recorder that was given a bus was pickled."""
        self._complaints.say(
            "bus",
            "a copy of the recorder of %s publishes on this process's own bus: the one that the recorder was given "
            "cannot leave its process",
            self._name,
            level=logging.WARNING,
        )
