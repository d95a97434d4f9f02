"""The errors a user can meet. Their text is the whole message: what is wrong, and what to do about it."""


class RunBusError(Exception):
    """Base of every error that is a user's to mend: shown as one line, without a traceback, exit code 1."""


class ConfigError(RunBusError):
    """A setting is missing or unusable. The text names the key, the bad value (never a secret) and a good one."""
