"""Finds the value of a setting: flag > environment > file > default."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from runbus.config.catalogue import CACHE, CACHE_FOLDER, CONFIG_FILE, DATA_FOLDER, HOME, SETTINGS
from runbus.config.errors import ConfigError
from runbus.config.secret import Secret, read_secret
from runbus.config.setting import Setting

T = TypeVar("T")

FILE_NAME = "runbus.toml"


def home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the local stack: `RUNBUS_HOME`, or the platform's user data folder."""
    named = path_of(HOME, environ)
    return named.expanduser().absolute() if named else _platform_folder(DATA_FOLDER, ".local/share", environ)


def cache(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of what can be fetched again: `RUNBUS_CACHE`, or the platform's user cache folder."""
    named = path_of(CACHE, environ)
    return named.expanduser().absolute() if named else _platform_folder(CACHE_FOLDER, ".cache", environ)


def path_of(setting: Setting[Path | None], environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path that a variable names, None if it is not set: for what only the environment can say."""
    return setting.parse((os.environ if environ is None else environ).get(setting.env, ""))


def _platform_folder(setting: Setting[Path | None], fallback: str, environ: Mapping[str, str] | None) -> Path:
    base = path_of(setting, environ) or Path.home() / fallback
    if sys.platform == "darwin" and not path_of(setting, environ):
        base = Path.home() / "Library" / ("Caches" if setting is CACHE_FOLDER else "Application Support")
    return base / "runbus"


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's text and its source: `flag`, a variable's name, a file's path, or `default`.

    `file` is the file that holds a secret, if `<VARIABLE>_FILE` names one.
    """

    setting: Setting[object]
    text: str = field(repr=False)
    origin: str
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of all settings, read once.

    Args:
        flags: by environment variable name; what the command line gave.
        environ: the environment.
        file: parsed configuration file, section -> key -> value.
        file_path: its path, for messages.
    """

    flags: Mapping[str, str] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    file: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)
    file_path: Path | None = None

    def find(self, setting: Setting[object]) -> Value:
        """Return the value that wins. Raises ConfigError if a `*_FILE` cannot be read."""
        if setting.env in self.flags:
            return Value(setting, self.flags[setting.env], "flag")
        if self.environ.get(setting.env):
            return Value(setting, self.environ[setting.env], setting.env)
        pointer = f"{setting.env}_FILE"
        if setting.secret and self.environ.get(pointer):
            file = Path(self.environ[pointer])
            return Value(setting, _read_secret(pointer, file), pointer, file)
        section = self.file.get(setting.section, {})
        if setting.key in section:
            return Value(setting, _text(setting, section[setting.key], self.file_path), str(self.file_path))
        return Value(setting, setting.default, "default")

    def text(self, setting: Setting[object]) -> str:
        """Return the text of the value that wins, not checked."""
        return self.find(setting).text

    def get(self, setting: Setting[T]) -> T:
        """Return the value that wins; what a file gives as a secret is read again whenever it is used.

        Raises:
            ConfigError: with the variable, the bad value and what is allowed.
        """
        found = self.find(setting)
        value = setting.parse(found.text)
        if isinstance(value, Secret):
            value.file = found.file  # so that it can be rotated
        return value

    def all(self, settings: Iterable[Setting[object]] = SETTINGS) -> list[Value]:
        """Return the value of each setting, in their order, not checked."""
        return [self.find(setting) for setting in settings]


def read_sources(flags: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Sources:
    """Read the environment and the configuration file (`RUNBUS_CONFIG`, ./runbus.toml, or the local stack's).

    Raises:
        ConfigError: the file named by RUNBUS_CONFIG is not there, or a file is not TOML or has an unknown section or
            key.
    """
    env = os.environ if environ is None else environ
    path = _config_file(env)
    return Sources(flags or {}, dict(env), _parse(path) if path else {}, path)


def hand_on(flags: Mapping[str, str]) -> None:
    """Let the recorders of this process, and the processes that it starts, find what the command line gave."""
    os.environ.update(flags)


def _config_file(env: Mapping[str, str]) -> Path | None:
    named = path_of(CONFIG_FILE, env)
    if named:
        if not _is_file(named):
            raise ConfigError(f"{CONFIG_FILE.env} names {named}, which is not a file: correct it or unset it")
        return named
    for candidate in (Path(FILE_NAME), home(env) / FILE_NAME):
        if _is_file(candidate):
            return candidate
    return None


def _parse(path: Path) -> dict[str, dict[str, object]]:
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    sections = sorted({setting.section for setting in SETTINGS})
    for section, values in parsed.items():
        if section not in sections or not isinstance(values, dict):
            close = _close(section, sections)
            raise ConfigError(f"{path}: unknown section {section}; there are: {', '.join(sections)}{close}")
        allowed = sorted(s.key for s in SETTINGS if s.section == section)
        for key in values:
            if key not in allowed:
                close = _close(f"{section}.{key}", [s.path for s in SETTINGS])
                raise ConfigError(f"{path}: unknown key {section}.{key}; this section has: {', '.join(allowed)}{close}")
    return parsed


def _close(unknown: str, known: list[str]) -> str:
    """Return a question for the known name that is nearest, if one is near; "" else."""
    from difflib import get_close_matches  # here: only a mistake needs it, and the agent's process reads this module

    near = get_close_matches(unknown, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _text(setting: Setting[object], value: object, path: Path | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ConfigError(f"{path}: {setting.path} is a {type(value).__name__}: write it as text, in quotes")
    return str(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder on the way that this user may not enter
        return False


def _read_secret(variable: str, path: Path) -> str:
    try:
        return read_secret(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable} names {path}, which cannot be read: {error}") from error
