"""Makes JSON text of any configuration or info that a user passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.recorder.values import plain_number


def json_text(value: object) -> str:
    """Return strict JSON of `value`: arrays as lists, NaN and infinities as strings, unknown objects by `str`.

    Raises:
        InvalidValue: it contains itself, or is nested too deep.
    """
    try:
        try:
            return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
        except (ValueError, TypeError):  # NaN inside, or keys that are no strings
            return json.dumps(_strict(value), default=str, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise InvalidValue("it cannot become JSON: it contains itself, or is nested too deep") from None


def _plain(value: Any) -> object:  # noqa: ANN401 - any object that json does not know
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return str(value)


def _strict(value: object) -> object:
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(part) for part in value]
    if isinstance(value, (str, int)) or value is None:
        return value
    return _strict(_plain(value))
