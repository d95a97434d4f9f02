"""Reads values of other libraries as arrays, dicts, lists and numbers, without importing any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.schemas.layout import Omitted
from runbus.schemas.strict_json import CONTAINS_ITSELF, TOO_DEEP, free_name, utf8_text

MAX_DEPTH = 100
_KNOWN = frozenset([int, float, bool, str, bytes, bytearray, type(None)])
_NUMBERS = "biuf"  # kinds of numpy's dtypes
_MAX_ERROR = 200


class Reading:
    """One value on its way to plain data: arrays of numpy's dtypes, numbers, text, dicts, lists and tuples.

    Attributes:
        flaws: why a part of it was left out; an Omitted is in its place.
    """

    def __init__(self) -> None:
        self.flaws: list[str] = []
        self._open: set[int] = set()

    def plain(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any value of an agent
        """Return `value` as plain data; itself if it is. An object that is none becomes its text inside of others."""
        kind = type(value)
        if kind in _KNOWN or isinstance(value, (str, int, float)):
            return value
        if kind is Omitted:
            self.flaws += [value.why] if value.why else []
            return value
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value, depth)
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        if id(value) in self._open:
            return CONTAINS_ITSELF
        self._open.add(id(value))
        try:
            return self._container(value, depth)
        finally:
            self._open.discard(id(value))

    def _container(self, value: Any, depth: int) -> Any:  # noqa: ANN401
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (list, tuple)):
            parts = [self.plain(part, depth + 1) for part in value]
            if all(new is old for new, old in zip(parts, value, strict=True)):
                return value
            return parts if isinstance(value, list) else tuple(parts)
        if isinstance(value, (set, frozenset)):
            return [self.plain(part, depth + 1) for part in sorted(value, key=repr)]
        return self._object(value, depth)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Mapping[Any, Any]:
        parts: dict[Any, Any] = {}
        for key, part in value.items():
            name = key if type(key) is str else str(key)
            parts[free_name(name, parts)] = self.plain(part, depth + 1)
        same = type(value) is dict and all(parts.get(key) is part for key, part in value.items())
        return value if same else parts

    def _object(self, value: Any, depth: int) -> Any:  # noqa: ANN401
        kind = type(value)
        if isinstance(value, Enum):
            return self.plain(value.value, depth + 1)
        if gives_array(value):
            return self._array(value, depth)
        if dataclasses.is_dataclass(kind):
            fields = dataclasses.fields(value)
            return {field.name: self.plain(getattr(value, field.name), depth + 1) for field in fields}
        if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__"):  # a TensorDict, say
            return {str(key): self.plain(value[key], depth + 1) for key in value.keys()}  # noqa: SIM118 - not its rows
        if depth > 0:
            return text_of_object(value)
        return self._flaw(f"a {kind.__module__}.{kind.__qualname__} is neither number, array, text, dict nor list")

    def _array(self, value: Any, depth: int) -> Any:  # noqa: ANN401
        try:
            found = value if isinstance(value, (np.ndarray, np.generic)) and _is_number(value) else array_of(value)
        except InvalidValue as error:
            return self._flaw(str(error))
        if not isinstance(found, (np.ndarray, np.generic)):
            return self.plain(found, depth + 1)
        if not _is_number(found):
            return self._flaw(f"dtype {found.dtype}: use bool, integers or floats up to 64 bits, or text")
        return found if found.dtype.byteorder != ">" else found.astype(found.dtype.newbyteorder("<"))

    def _flaw(self, why: str) -> Omitted:
        self.flaws.append(why)
        return Omitted(why=why)


def _is_number(value: NDArray[Any] | np.generic) -> bool:
    return value.dtype.kind in _NUMBERS and value.dtype.itemsize <= 8


def text_of_object(value: object) -> str:
    """Return the text of any object, whatever its `__str__` does."""
    try:
        return utf8_text(str(value))
    except Exception:  # noqa: BLE001 - the object is the user's
        return f"<{type(value).__qualname__}>"


# --- arrays -----------------------------------------------------------------------------------------------------


def gives_array(value: object) -> bool:
    """Return whether an object offers its values as an array: a tensor, an image, a buffer."""
    kind = type(value)
    return (
        any(hasattr(kind, name) for name in ("__array__", "__array_interface__", "__dlpack__"))
        or isinstance(value, memoryview)
        or (kind.__module__ == "array" and kind.__name__ == "array")
    )


def array_of(value: Any) -> Any:  # noqa: ANN401 - an array, or the list that an array of objects holds
    """Return the numpy array of a tensor, on whatever device, with or without gradients.

    Raises:
        InvalidValue: it does not give its values away, as a value inside `jax.jit` does not.
    """
    try:
        return _of_numpy(_host_array(value))
    except InvalidValue:
        raise
    except Exception as error:
        kind = type(value)
        text = str(error).strip().split("\n")[0][:_MAX_ERROR]
        hint = "; record outside the traced function" if "Tracer" in kind.__name__ else ""
        raise InvalidValue(
            f"a {kind.__module__}.{kind.__name__} does not give its values away: {text}{hint}"
        ) from error


def _host_array(value: Any) -> Any:  # noqa: ANN401
    if callable(getattr(value, "detach", None)) and callable(getattr(value, "cpu", None)):
        return _of_torch(value)
    if hasattr(type(value), "__cuda_array_interface__") and callable(getattr(value, "get", None)):
        return value.get()  # CuPy copies to the host only if asked
    if hasattr(type(value), "__dlpack__") and not hasattr(type(value), "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def _of_torch(value: Any) -> Any:  # noqa: ANN401
    tensor = value.detach().cpu()
    for simpler in ("to_dense", "resolve_conj", "resolve_neg"):
        if _is_needed(tensor, simpler):
            tensor = getattr(tensor, simpler)()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16 and smaller: numpy has no such dtype, float32 holds each exactly
        return tensor.float().numpy()


def _is_needed(tensor: Any, simpler: str) -> bool:  # noqa: ANN401
    match simpler:
        case "to_dense":
            return bool(getattr(tensor, "is_sparse", False))
        case "resolve_conj":
            return bool(_asked(tensor, "is_conj"))
        case _:
            return bool(_asked(tensor, "is_neg"))


def _asked(tensor: Any, question: str) -> object:  # noqa: ANN401
    ask: Callable[[], object] | None = getattr(tensor, question, None)
    return ask() if callable(ask) else False


def _of_numpy(value: NDArray[Any] | np.generic) -> Any:  # noqa: ANN401
    """Return an array of one of numpy's own dtypes; a list for an array of objects or of text."""
    dtype = value.dtype
    if dtype.kind in _NUMBERS:
        return value
    if dtype.kind in "OU":
        return value.tolist() if isinstance(value, np.ndarray) else value
    small = _SMALL.get(dtype.name.split("_")[0].rstrip("0123456789")) if dtype.fields is None else None
    return value if small is None else value.astype(small)


#: dtypes that JAX has beside numpy's (bfloat16, float8_e4m3fn, int4, ...), and what holds each exactly
_SMALL: Mapping[str, type[np.generic]] = {
    "bfloat": np.float32,
    "float": np.float32,
    "int": np.int8,
    "uint": np.uint8,
}
