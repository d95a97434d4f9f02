"""Makes the JSON text of a run's configuration, whatever object holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from runbus.config.errors import ConfigError
from runbus.recorder.text import json_text

_DEPTH = 50


def config_text(config: object) -> str:
    """Return a configuration as JSON.

    A mapping, a dataclass, a namespace, a model of pydantic or attrs, and OmegaConf's containers keep their fields, at
    any depth; what has none is its text.

    Raises:
        ConfigError: it contains itself, or an object in it refuses to be text.
    """
    try:
        return json_text({} if config is None else _plain(config, 0))
    except Exception as error:  # the user's objects make their own text: any error is possible
        raise ConfigError(f"config= cannot be recorded: {error}. Give plain values: numbers, text, dicts") from error


def _plain(value: object, depth: int) -> object:
    """Return a value with its objects as dicts of their fields."""
    if depth > _DEPTH:
        return value  # json_text says what is wrong with it
    if isinstance(value, Mapping):
        return {str(key): _plain(part, depth + 1) for key, part in value.items()}
    found = _fields(value)
    if found is not None:
        return {name: _plain(part, depth + 1) for name, part in found.items()}
    return [_plain(part, depth + 1) for part in value] if isinstance(value, (list, tuple)) else value


def _fields(value: Any) -> dict[str, object] | None:  # noqa: ANN401 - any object of a user
    """Return the fields of an object that is made of fields, None of any other (a module, a lock, a function)."""
    if isinstance(value, (type, ModuleType, str, bytes, int, float)) or value is None:
        return None
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value) if hasattr(value, f.name)}
    for name in ("model_dump", "_asdict"):  # pydantic; named tuples
        dump: Callable[[], object] | None = getattr(type(value), name, None)
        if callable(dump) and isinstance(found := getattr(value, name)(), Mapping):
            return dict(found)
    if hasattr(type(value), "__attrs_attrs__"):
        return {a.name: getattr(value, a.name) for a in type(value).__attrs_attrs__}
    return dict(vars(value)) if type(value).__name__ in ("Namespace", "SimpleNamespace") else None
