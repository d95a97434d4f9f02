"""Reads the text of a setting as a value of its kind, or says by the variable's name what is allowed.

A kind is declared with the setting (catalogue.py, options.py) and used for every source of its value: a flag, a
variable or a file. No dataclass here or in setting.py: the agent's process imports them, and one costs 0.5 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from runbus.config.errors import ConfigError
from runbus.config.secret import Secret

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Chosen = TypeVar("Chosen", bound=str)

_LEAST_SPEED = 0.001
_TRUE = ("true", "1", "yes", "y", "on", "t")
_FALSE = ("false", "0", "no", "n", "off", "f")


class Kind(NamedTuple, Generic[T_co]):
    """Reads the text of a value.

    Attributes:
        parse: takes the variable's name and the text; raises ConfigError with both and what is allowed.
        allowed: what is allowed, for the page and the help; empty = any text.
        unit: of a number, for example `s`.
        metavar: placeholder of the value in the help of a command.
    """

    parse: Callable[[str, str], T_co]
    allowed: str = ""
    unit: str = ""
    metavar: str = "TEXT"


def text(pattern: str = "", allowed: str = "") -> Kind[str]:
    """Return the kind of a text, all of which matches `pattern` if there is one; `allowed` says it in words."""

    def parse(variable: str, given: str) -> str:
        if pattern and not re.fullmatch(pattern, given):
            raise ConfigError(f"{variable}={given!r} is not allowed: give {allowed}")
        return given

    return Kind(parse, allowed)


def secret() -> Kind[Secret]:
    """Return the kind of a password: never shown, and `<VARIABLE>_FILE` can name the file that holds it."""
    return Kind(lambda _variable, given: Secret(given))


def number(least: float, most: float | None = None, unit: str = "") -> Kind[float]:
    """Return the kind of a number from `least` to `most`, both included; None = no upper bound."""
    said, allowed = _bounds(least, most, unit)

    def parse(variable: str, given: str) -> float:
        value = _float(given)
        if value is None or not least <= value <= (value if most is None else most):
            raise ConfigError(f"{variable}={given!r} is not a number{said}")
        return value

    return Kind(parse, allowed, unit, "FLOAT")


def seconds(least: float, most: float | None = None) -> Kind[float]:
    """Return the kind of a duration in seconds."""
    return number(least, most, "s")


def speed() -> Kind[float]:
    """Return the kind of a speed: a number, or `max`, which is infinite."""

    def parse(variable: str, given: str) -> float:
        value = float("inf") if given.strip().lower() == "max" else _float(given)
        if value is None or not value >= _LEAST_SPEED:
            raise ConfigError(f"{variable}={given!r} is not a speed: give a number from {_LEAST_SPEED:g} on, or max")
        return value

    return Kind(parse, f"{_LEAST_SPEED:g} or more, max", metavar="FLOAT|max")


def integer(least: int, most: int | None = None, unit: str = "") -> Kind[int]:
    """Return the kind of an integer; `1e6` and `250000.0` are integers too: that is how templates write them."""
    said, allowed = _bounds(least, most, unit)

    def parse(variable: str, given: str) -> int:
        value = _float(given)
        if value is None or not value.is_integer() or not least <= value <= (value if most is None else most):
            raise ConfigError(f"{variable}={given!r} is not an integer{said}")
        return int(value)

    return Kind(parse, allowed, unit, "INTEGER")


def mebibytes(least: int, most: int) -> Kind[int]:
    """Return the kind of an amount of memory: given in whole MiB, read as bytes."""
    return _in_units(integer(least, most, "MiB"), 2**20)


def milliseconds(kind: Kind[float], each: int) -> Kind[int]:
    """Return the kind of a duration that is given as `kind` says, and read as milliseconds: `each` in one unit."""
    return _in_units(kind, each)


def _in_units(kind: Kind[float], each: int) -> Kind[int]:
    return Kind(lambda variable, given: int(kind.parse(variable, given) * each), kind.allowed, kind.unit, kind.metavar)


def choice(*allowed: Chosen) -> Kind[Chosen]:
    """Return the kind of a word that is one of `allowed`, in upper or lower case."""
    words = {word.lower(): word for word in allowed}

    def parse(variable: str, given: str) -> Chosen:
        if given.lower() not in words:
            raise ConfigError(f"{variable}={given!r} is not one of {', '.join(allowed)}")
        return words[given.lower()]

    return Kind(parse, ", ".join(allowed), metavar="|".join(allowed))


def switch() -> Kind[bool]:
    """Return the kind of what is on or off."""

    def parse(variable: str, given: str) -> bool:
        word = given.strip().lower()
        if word not in _TRUE + _FALSE:
            raise ConfigError(f"{variable}={given!r} is not one of {', '.join(_TRUE + _FALSE)}")
        return word in _TRUE

    return Kind(parse, "true, false", metavar="<bool>")


def path() -> Kind[Path]:
    """Return the kind of a path; nothing needs to be there."""
    return Kind(lambda _variable, given: Path(given), metavar="PATH")


def file() -> Kind[str]:
    """Return the kind of a path of a file, empty = none. It must be there: client libraries say so only later."""

    def parse(variable: str, given: str) -> str:
        if given and not Path(given).is_file():
            raise ConfigError(f"{variable} names {given}, which is not a file")
        return given

    return Kind(parse, "a file", metavar="FILE")


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return the kind of a value that may be left out: an empty text is None."""
    return Kind(
        lambda variable, given: kind.parse(variable, given) if given else None, kind.allowed, kind.unit, kind.metavar
    )


def _bounds(least: float, most: float | None, unit: str) -> tuple[str, str]:
    """Return bounds in words: for an error and for a table."""
    unit = f" {unit}" if unit else ""
    if most is None:
        return f", {_plain(least)}{unit} or more", f"{_plain(least)}{unit} or more"
    return f" from {_plain(least)} to {_plain(most)}{unit}", f"{_plain(least)} to {_plain(most)}{unit}"


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def _float(given: str) -> float | None:
    try:
        return float(given)
    except ValueError:
        return None
