"""Declares a setting, and the fields of dataclasses that are read from it (`runbus.config.loading`)."""

from __future__ import annotations

import dataclasses
from typing import Generic, NamedTuple, TypeVar

from runbus.config.kinds import Kind, T_co
from runbus.config.secret import Secret

T = TypeVar("T")
#: in the metadata of a field: its declaration
DECLARED = "setting"


class Setting(NamedTuple, Generic[T_co]):
    """One setting: the sources of its value, the values that are allowed, and its meaning.

    Attributes:
        env: its variable. A secret can also be given as a file: `<env>_FILE` holds the file's path.
        path: its place in the configuration file, for example `kafka.bootstrap_servers`; empty = none.
        kind: reads its text; knows bounds, choices and the unit.
        default: as text; empty = none.
        doc: what it means, one sentence or two.
        option: of the command line, for example `--topic-prefix`; empty = none.
    """

    env: str
    path: str
    kind: Kind[T_co]
    default: str
    doc: str
    option: str = ""

    @property
    def section(self) -> str:
        """Section of the configuration file."""
        return self.path.partition(".")[0]

    @property
    def key(self) -> str:
        """Key in that section."""
        return self.path.partition(".")[2]

    @property
    def secret(self) -> bool:
        """True if the value must never be shown."""
        return isinstance(self.default_value, Secret)

    @property
    def default_value(self) -> T_co:
        """The default, read like any other value."""
        return self.parse(self.default)

    def parse(self, text: str) -> T_co:
        """Return the value that a text means. Raises ConfigError with the variable, the text and what is allowed."""
        return self.kind.parse(self.env, text)


def of(setting: Setting[T]) -> T:
    """Declare a field of a dataclass: `load` reads it from this setting, and the setting's default is its default."""
    declared: T = dataclasses.field(default=setting.default_value, metadata={DECLARED: setting})
    return declared
