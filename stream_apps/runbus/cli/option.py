"""Makes options of the command line from the declarations of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

from runbus.config.setting import Setting

T = TypeVar("T")


def option(setting: Setting[T], *short: str) -> typer.models.OptionInfo:
    """Return the option of a setting: its names, variable, help and check; the default is `setting.default_value`.

    What is wrong with a value is the same ConfigError, from the command line and from the variable.
    """

    def parse(given: str | T) -> T:
        return setting.parse(given) if isinstance(given, str) else given  # not text: a switch, or the default

    return _option(setting, parse, *short)


def flag(setting: Setting[object]) -> typer.models.OptionInfo:
    """Return the option of a setting that `Sources` reads and checks at its first use: as text."""
    return _option(setting, None)


def _option(setting: Setting[object], parse: Callable[[str], object] | None, *short: str) -> typer.models.OptionInfo:
    is_switch = isinstance(setting.default_value, bool) or "/" in setting.option
    bounded = setting.kind.allowed and not is_switch
    made: typer.models.OptionInfo = typer.Option(
        setting.option,
        *short,
        envvar=setting.env,
        help=f"{setting.doc} Allowed: {setting.kind.allowed}." if bounded else setting.doc,
        show_default=parse is not None,
        parser=parse,
        metavar=setting.kind.metavar,
    )
    return made
