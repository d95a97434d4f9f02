"""Makes the JSON text of a run's configuration, whatever object holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from runbus.recorder.text import plain_object
from runbus.schemas.strict_json import strict_json


def config_text(config: object) -> str:
    """Return a configuration as JSON: see `strict_json`.

    A mapping, a dataclass, a namespace, a named tuple, a model of pydantic or attrs, and OmegaConf's containers keep
    their fields, at any depth; what has none is its text.
    """
    found = {} if config is None else _fields(config)
    return strict_json(config if found is None else found, _plain)


def _plain(value: object) -> object:
    found = _fields(value)
    return plain_object(value) if found is None else found


def _fields(value: Any) -> dict[str, object] | None:  # noqa: ANN401 - any object of a user
    """Return the fields of an object that is made of fields, None of any other (a module, a lock, a function)."""
    if isinstance(value, (type, ModuleType)):
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
