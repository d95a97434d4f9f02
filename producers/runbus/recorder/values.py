"""Copies values that an agent passes, as bytes of their layout: fast while the layout stays the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from runbus.config.errors import ConfigError
from runbus.recorder.fitting import fitted, in_dtype
from runbus.recorder.packing import Packer, pack_nothing, packer
from runbus.recorder.ragged import emptied, ragged
from runbus.recorder.reading import Reading
from runbus.recorder.structure import FREE, Structure, matches, remembered, structure_of_layout, widened
from runbus.schemas import tree
from runbus.schemas.layout import (
    JSON,
    NONE,
    NUMERIC_DTYPES,
    OMITTED,
    STRUCT,
    TEXT,
    VARIABLE,
    Layout,
    Omitted,
    encode_value,
    layout_of,
)
from runbus.schemas.leaf import as_array

Observations = Literal["auto", "all", "none"]

AUTO_MAX_BYTES = 1024
LEFT_OUT = layout_of(Omitted())  # the layout of a value that nothing here can hold
_TEXT = Structure(TEXT)
_MAX_CHANGES = 3  # so often a layout changes without a word
_MAX_FLAWS = 3


class Capture:
    """Copies one column's values. `layout` is that of the last value.

    Numbers keep one dtype: it widens when a value needs it, and later values are stored in it as long as each is the
    same number there. So a stream of ints and floats, or of arrays of two dtypes, has one layout.

    Args:
        choose: full layout -> the layout to record it in (itself, or with parts or all of it omitted).
        space: what its space says of the values.

    Attributes:
        flaw: why the value that was learnt last, or a part of it, was left out; empty = nothing was.
        news: what is to be said about the layouts of this column, once; empty = nothing.
    """

    __slots__ = ("_changes", "_choose", "_space", "flaw", "layout", "news", "pack", "structure")

    def __init__(self, choose: Callable[[Layout], Layout], space: Structure = FREE) -> None:
        self._choose = choose
        self._space = space
        self._changes = 0
        self.structure = space
        self.layout = NONE
        self.flaw = ""
        self.news = ""
        #: value -> its bytes, or None if it is not one of those that came before: then `learn` it
        self.pack: Packer = pack_nothing

    def learn(self, value: Any) -> bytes:  # noqa: ANN401 - any value of an agent
        """Return the bytes of a value of any kind. What cannot be recorded is left out, and `flaw` says why."""
        self.flaw = ""
        reading = Reading()
        try:
            plain = reading.plain(value)
            raw = self._known(plain, changed=plain is not value)
            if raw is None:
                raw = self._new(plain)
        except Exception as error:  # noqa: BLE001 - the value is the user's: any error is possible
            reading.flaws.append(str(error))
            self.layout, self.pack, raw = _same(self.layout, LEFT_OUT), _pack_never, b""
        if reading.flaws:
            self.flaw = "; ".join(reading.flaws[:_MAX_FLAWS])
        return raw

    def settle(self, value: Any) -> Layout:  # noqa: ANN401
        """Take over the layout of a value, which is as `fitted` returned it, and return it. It is never ragged."""
        full = self._full(value)
        return self._take_over(full, self._choose(full))

    def _settle_any_length(self, value: Any) -> Layout:  # noqa: ANN401
        """Likewise; a ragged layout if that is what the value shares with the last one."""
        full = emptied(self.layout, value) or self._full(value)
        return self._take_over(full, ragged(self.layout, full) or self._choose(full))

    def _full(self, value: Any) -> Layout:  # noqa: ANN401
        return Layout(JSON, (), -1) if self._is_text_among_json(value) else layout_of(value)

    def _take_over(self, full: Layout, layout: Layout) -> Layout:
        """Take over a layout; `full` is that of the whole value."""
        seen = structure_of_layout(full)
        if not matches(self._space, seen) and full not in (NONE, LEFT_OUT):
            self.news = self.news or f"is not as its space says: {_said(full)}. It is recorded as it is"
        if layout != self.layout:  # equal layouts keep one identity, which is what the stream compares
            self._note_change(layout)
            self.layout, self.pack = layout, _pack_never
        known = remembered(self.structure, seen)
        self.structure = known if self._space == FREE else widened(self._space, known)
        return self.layout

    def _known(self, plain: Any, *, changed: bool) -> bytes | None:  # noqa: ANN401
        """Return the bytes of a value that has the layout of the last one, once its numbers are in its dtype."""
        if changed:
            raw = self.pack(plain)
            if raw is not None:
                return raw
        expected = self.structure
        if type(plain) is np.ndarray and expected.numeric and plain.shape == expected.shape:
            array = in_dtype(plain, np.dtype(expected.dtype))
            if array.dtype.str == self.layout.dtype:
                return array.tobytes()
        return None

    def _new(self, plain: Any) -> bytes:  # noqa: ANN401
        value = self._of_other_length(fitted(plain, self.structure))
        layout = self._settle_any_length(value)
        raw = encode_value(layout, value)
        pack = packer(plain, layout) or packer(value, layout)
        if pack is not None:
            self.pack = pack
        return raw

    def _of_other_length(self, value: Any) -> Any:  # noqa: ANN401
        """Return numbers of as many dimensions as the last ones in the dtype of these, if they are the same there."""
        layout = self.layout
        array = as_array(value) if layout.shape and layout.dtype in NUMERIC_DTYPES else None
        if array is None or array.ndim != len(layout.shape) or array.shape == layout.shape:
            return value
        same = in_dtype(array, np.dtype(layout.dtype))
        return same if same.dtype.str == layout.dtype else value

    def _is_text_among_json(self, value: Any) -> bool:  # noqa: ANN401
        """Return whether text and JSON data come by turns: text, and a number, is JSON data too."""
        return self.structure.dtype == JSON and self._space != _TEXT and is_json_scalar(value)

    def _note_change(self, layout: Layout) -> None:
        old, new = structure_of_layout(self.layout), structure_of_layout(layout)
        if VARIABLE in layout.shape[:1] or ragged(self.layout, layout) == layout:
            return
        wider = old.numeric and new.numeric and old.shape == new.shape and np.can_cast(old.dtype, new.dtype)
        first = self.layout == NONE and not self._changes
        if wider or first or self._space.varies or LEFT_OUT in (self.layout, layout):
            return
        self._changes += 1
        if self._changes == _MAX_CHANGES:
            self.news = self.news or (
                f"changes its layout from step to step ({_said(self.layout)}, {_said(layout)}), and each change ends a "
                "batch. Give all of them one shape and dtype, and ABSENT for one that does not exist"
            )


def _pack_never(_value: object) -> bytes | None:
    return None


def _same(known: Layout, layout: Layout) -> Layout:
    return known if known == layout else layout


def _said(layout: Layout) -> str:
    return f"{layout.dtype[:60] or 'none'}{list(layout.shape)}"


# --- what is recorded -------------------------------------------------------------------------------------------


def chooser(observations: Observations) -> Callable[[Layout], Layout]:
    """Return what chooses the layout of an observation: see Recorder. Raises ConfigError for another word."""
    match observations:
        case "all":
            return as_is
        case "none":
            return lambda layout: layout.omitted() if layout.dtype else layout
        case "auto":
            return without_large_parts
    raise ConfigError(f"observations={observations!r} is not one of auto, all, none")


def as_is(layout: Layout) -> Layout:
    """Return the layout itself: the value is recorded."""
    return layout


@lru_cache(maxsize=1024)
def without_large_parts(layout: Layout) -> Layout:
    """Return the layout without images, and with at most AUTO_MAX_BYTES of numbers: the largest parts are left out."""
    if not layout.dtype.startswith(STRUCT):
        return layout.omitted() if _is_large(layout.dtype, layout.shape, layout.width) else layout
    node = tree.parse(layout.dtype[len(STRUCT) :])
    leaves = tree.leaves(node)
    omitted = {i for i, leaf in enumerate(leaves) if _is_large(leaf.dtype, leaf.shape, leaf.width)}
    kept = sorted((i for i in range(len(leaves)) if i not in omitted), key=lambda i: -leaves[i].width)
    excess = sum(max(leaves[i].width, 0) for i in kept) - AUTO_MAX_BYTES
    for i in kept:
        if excess <= 0:
            break
        omitted.add(i)
        excess -= leaves[i].width
    if not omitted:
        return layout
    if all(i in omitted or not leaf.dtype or leaf.dtype.startswith(OMITTED) for i, leaf in enumerate(leaves)):
        return layout.omitted()
    smaller = tree.without(node, omitted)
    return Layout(STRUCT + tree.text_of_node(smaller), (), smaller.width)


def _is_large(dtype: str, shape: tuple[int, ...], width: int) -> bool:
    image = dtype == "|u1" and len(shape) >= 3
    return width > AUTO_MAX_BYTES or image


# --- rewards and named numbers --------------------------------------------------------------------------------


def number(value: Any) -> float:  # noqa: ANN401 - any reward of an environment
    """Return `value` as the float64 that it is; arrays of one element count. Raises TypeError or ValueError."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{value!r} is not a number")
    if hasattr(value, "item"):
        value = value.item()
    return float(value)


def is_json_scalar(value: object) -> bool:
    """Return whether JSON says exactly this text, number or boolean."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]  # a float it is
    return kind in (str, bool) or (kind is int and -(2**63) <= value < 2**64)  # type: ignore[operator]
