"""Reads a dataclass of settings by the declarations of its fields."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from runbus.config.setting import DECLARED
from runbus.config.sources import Sources

T = TypeVar("T")


def load(cls: type[T], sources: Sources, **given: object) -> T:
    """Return a dataclass of settings: each field declared with `of` is read, the others are `given`.

    Raises:
        ConfigError: with the variable, the bad value and what is allowed.
    """
    declared = {f.name: f.metadata[DECLARED] for f in dataclasses.fields(cls) if DECLARED in f.metadata}  # type: ignore[arg-type]
    return cls(**{name: sources.get(setting) for name, setting in declared.items() if name not in given}, **given)
