"""Where a setting's value comes from: flag > environment > file > default."""

from __future__ import annotations

import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbus.config.catalogue import CACHE_ENV, CONFIG_FILE_ENV, HOME_ENV, SETTINGS, Setting
from runbus.config.errors import ConfigError
from runbus.config.secret import Secret, read_secret

FILE_NAME = "runbus.toml"


def home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the local stack: `RUNBUS_HOME`, or the platform's user data folder."""
    env = os.environ if environ is None else environ
    return (
        Path(env[HOME_ENV]).expanduser().absolute()
        if env.get(HOME_ENV)
        else _platform_folder(env, "XDG_DATA_HOME", ".local/share")
    )


def cache(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of what can be fetched again: `RUNBUS_CACHE`, or the platform's user cache folder."""
    env = os.environ if environ is None else environ
    return (
        Path(env[CACHE_ENV]).expanduser().absolute()
        if env.get(CACHE_ENV)
        else _platform_folder(env, "XDG_CACHE_HOME", ".cache")
    )


def _platform_folder(env: Mapping[str, str], xdg: str, fallback: str) -> Path:
    base = Path(env[xdg]) if env.get(xdg) else Path.home() / fallback
    if sys.platform == "darwin" and not env.get(xdg):
        base = Path.home() / "Library" / ("Caches" if xdg == "XDG_CACHE_HOME" else "Application Support")
    return base / "runbus"


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's text and where it was found: `flag`, a variable's name, a file's path, or `default`."""

    setting: Setting
    text: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The places a setting can come from, read once.

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

    def find(self, setting: Setting) -> Value:
        """Return the value that wins. Raises ConfigError where a `*_FILE` cannot be read."""
        if setting.env in self.flags:
            return Value(setting, self.flags[setting.env], "flag")
        if self.environ.get(setting.env):
            return Value(setting, self.environ[setting.env], setting.env)
        pointer = f"{setting.env}_FILE"
        if setting.secret and self.environ.get(pointer):
            return Value(setting, _read_secret(pointer, self.environ[pointer]), pointer)
        section = self.file.get(setting.section, {})
        if setting.key in section:
            return Value(setting, _text(setting, section[setting.key], self.file_path), str(self.file_path))
        return Value(setting, setting.default, "default")

    def text(self, setting: Setting) -> str:
        """Return the text of the value that wins."""
        return self.find(setting).text

    def secret(self, setting: Setting) -> Secret:
        """Return a secret; what a file gives is read again whenever it is used, so that it can be rotated."""
        value = self.find(setting)
        pointer = f"{setting.env}_FILE"
        return Secret(value.text, Path(self.environ[pointer]) if value.origin == pointer else None)

    def number(self, setting: Setting, least: float, most: float) -> float:
        """Return a setting as a number. Raises ConfigError if it is none, or outside of `least` to `most`."""
        text = self.text(setting)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ConfigError(f"{setting.env}={text!r} is not a number from {least:g} to {most:g}")
        return value

    def all(self) -> list[Value]:
        """Return every setting's value, in the order of the catalogue."""
        return [self.find(setting) for setting in SETTINGS]


def read_sources(flags: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Sources:
    """Read the environment and the configuration file (`RUNBUS_CONFIG`, ./runbus.toml, or the local stack's).

    Raises:
        ConfigError: the file named by RUNBUS_CONFIG is not there, or a file is not TOML or has an unknown section or
            key.
    """
    env = os.environ if environ is None else environ
    path = _config_file(env)
    return Sources(flags or {}, dict(env), _parse(path) if path else {}, path)


def _config_file(env: Mapping[str, str]) -> Path | None:
    if env.get(CONFIG_FILE_ENV):
        named = Path(env[CONFIG_FILE_ENV])
        if not _is_file(named):
            raise ConfigError(f"{CONFIG_FILE_ENV} names {named}, which is not a file: correct it or unset it")
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
    sections = {setting.section for setting in SETTINGS}
    for section, values in parsed.items():
        if section not in sections or not isinstance(values, dict):
            raise ConfigError(f"{path}: unknown section {section}; there are: {', '.join(sorted(sections))}")
        allowed = sorted(s.key for s in SETTINGS if s.section == section)
        for key in values:
            if key not in allowed:
                raise ConfigError(f"{path}: unknown key {section}.{key}; this section has: {', '.join(allowed)}")
    return parsed


def _text(setting: Setting, value: object, path: Path | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ConfigError(f"{path}: {setting.path} is a {type(value).__name__}: write it as text, in quotes")
    return str(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder on the way that we may not enter
        return False


def _read_secret(variable: str, path: str) -> str:
    try:
        return read_secret(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable} names {path}, which cannot be read: {error}") from error
