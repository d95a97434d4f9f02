"""Defines the errors that a user can meet. Their text is the whole message: what is wrong, and what to do."""

#: A reason is a header of a dead letter and a log line; what it quotes may be megabytes.
MAX_REASON = 1_000


class RunBusError(Exception):
    """Base of every error that a user can mend: shown as one line, without a traceback, exit code 1."""


class ConfigError(RunBusError):
    """A setting is missing or unusable. The text names the key, the bad value (never a secret) and a good one."""


class InvalidValue(RunBusError):
    """The bytes or columns contradict their schema: a data error, the same at every retry."""

    def __init__(self, reason: str) -> None:
        """Take the reason, cut to MAX_REASON characters."""
        super().__init__(reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 3]}...")
